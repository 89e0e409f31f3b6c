//! Expressions that ask for too much time or memory: each ends with a bounded value or an error, within a gigabyte.

mod blocks;

use std::process::Command;

use blocks::folder;
use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_workflow::Workflow;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const MANIFEST: &str = "
id: w
type: dynamic
defaults: {n: 1000, big: 1000000, p: '', q: [], f: 0.5, m: {k: [1]}, deep: []}
pipeline: [{block: b, file: b.json}]
";

/// What a caller may give within the limit on params: a long string, long lists, a map, nested lists.
fn given() -> Value {
    let mut deep = json!(["x"]);
    for _ in 0..60 {
        deep = json!([deep, deep.as_array().map(Vec::len)]);
    }
    json!({
        "p": "a".repeat(200_000),
        "q": vec![json!(["a".repeat(50), 1]); 3000],
        "m": {"k": vec![7; 1000], "t": "x"},
        "deep": deep,
    })
}

/// The expression's value over these variables, or why there is none.
fn value(expression: &str, given: &Value) -> Result<Value, String> {
    let node = json!({"class_type": "T", "inputs": {"v": format!("{{{{ {expression} }}}}")}});
    let block = json!({"nodes": {"k": node}}).to_string();
    let (manifest, _) = Manifest::parse(MANIFEST, "w").unwrap();
    let compiled = Workflow::from_blocks(manifest, &mut |_| Ok(block.clone()));
    let workflow = compiled.map_err(|problems| problems[0].to_string())?.workflow;
    let params =
        Params::check(workflow.manifest(), given.as_object().unwrap(), &Uploads::new(), &mut || 7).unwrap();
    let assembled = workflow.assemble(&params, &folder()).map_err(|error| error.to_string())?;
    Ok(assembled.graph.nodes["b_0_k"].inputs.get("v").cloned().unwrap_or(Value::Null))
}

/// Expressions that must be refused: what they make, or work on, is out of all proportion.
const REFUSED: [&str; 34] = [
    "([p]*n)|string",
    "([p]*big)|string|length",
    "(([p]*n)*n)|length",
    "([p]*n) ~ ''",
    "'' ~ ([p]*n)",
    "([p]*n)|join",
    "([p]*n)|list",
    "([p]*n) == ([p ~ 'x']*n)",
    "([p]*n)|sort",
    "([p]*n)|unique",
    "([p]*n)|map('string')|list",
    "([p]*n)|pprint",
    "'%s' | format([p]*n)",
    "[p, p] in ([[p, 1]]*n)",
    "([q]*n)|string",
    "q in ([q]*n)",
    "([q]*n) == ([q]*n)",
    "([q]*n) < ([q]*n)",
    "q|select('in', [q]*n)|list",
    "q|map(attribute='none')|map('default', q)|list",
    "q|batch(big, q)",
    "q|map('list')|sum(start=[])",
    "[[q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q], [q, q]]",
    "{'a': [q]*n}|string",
    "{'a': q, 'b': [q]*n} == {'a': q, 'b': [q]*n}",
    "p * n",
    "(p * 10) * 10",
    "p|replace('a', p)",
    "p|list|join(p)",
    "p|indent(big, true)",
    "[0] * 1000000000",
    "([0]*big)[:big]|length",
    "([0]*big)|reverse|first",
    "big in ([0]*big)",
];

/// Expressions that must have a value, though they work on much.
const GRANTED: [(&str, &str); 14] = [
    ("p|length", "200000"),
    ("q|length", "3000"),
    ("p|trim|length", "200000"),
    ("(q + q)|length", "6000"),
    ("p == p", "true"),
    ("'b' in p", "false"),
    ("q == q", "true"),
    ("[q[0]] == [q[1]]", "true"),
    ("q|map('first')|unique|list|length", "1"),
    ("deep|string|length > 60", "true"),
    ("(p ~ p)|length", "400000"),
    ("([0] * 1000)|sum", "0"),
    ("q|map(attribute=1)|sum", "3000"),
    ("(m.k * 3)|length", "3000"),
];

#[test]
fn hostile_expressions_are_refused_and_modest_ones_have_their_value() {
    let given = given();
    for expression in REFUSED {
        let refused = value(expression, &given).map(|value| value.to_string().len());
        let reason = refused.expect_err(expression);
        assert!(reason.len() < 2000, "{expression}: {reason}");
        let known = ["too many steps", "has no value", "too large"];
        assert!(known.iter().any(|known| reason.contains(known)), "{expression}: {reason}");
    }
    for (expression, expected) in GRANTED {
        let granted = value(expression, &given).map(|value| value.to_string());
        assert_eq!(granted.as_deref(), Ok(expected), "{expression}");
    }
}

/// Runs the test above once more, in a process with a gigabyte of address space.
#[cfg(unix)]
#[test]
fn hostile_expressions_need_less_than_a_gigabyte() {
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hostile_expressions_are_refused_and_modest_ones_have_their_value",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success() && output.contains("1 passed"), "{output}{limited:?}");
}

#[test]
fn variables_that_hold_too_much_are_refused_by_name_of_the_limit() {
    let reason = value("p|length", &json!({"p": vec![0; 100_000]})).unwrap_err();
    assert!(reason.contains("its variables hold more than 2097152 bytes"), "{reason}");
}

#[test]
fn long_rows_of_operators_are_read() {
    let sum = vec!["n"; 300].join(" + ");
    assert_eq!(value(&sum, &json!({"n": 2})), Ok(json!(600)));
    let text = vec!["p"; 300].join(" ~ ");
    assert_eq!(value(&text, &json!({"p": "ab"})), Ok(json!("ab".repeat(300))));
    let both = vec!["n == 2"; 100].join(" and ");
    assert_eq!(value(&both, &json!({"n": 2})), Ok(json!(true)));
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => select(vec!["p", "q", "n", "big", "m", "deep", "f", "m.k", "q[0]"]).prop_map(str::to_owned),
        2 => select(vec!["'ab'", "[]", "[0]", "{'k': q}", "7", "-1", "0.5", "none", "true", "(1, 2)"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 40, 3, |inner| {
        let operator = select(vec![
            "+", "-", "*", "*", "*", "/", "//", "%", "**", "~", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or",
        ]);
        let filter = select(vec![
            "string", "list", "join", "join(p)", "length", "sort", "unique", "reverse", "first", "last", "min", "max", "sum",
            "sum(start=q)", "upper", "trim", "batch(3)", "batch(big, q)", "slice(n, p)", "map('string')", "map('default', q)",
            "map(attribute='k')", "select('in', q)", "reject('==', p)", "select('<', q)", "items", "dictsort", "groupby(0)",
            "zip(q)", "chain(q, q)", "replace('a', p)", "indent(n)", "pprint", "format(p)", "split('a')", "lines",
            "default(q)", "int", "round(2)", "title",
        ]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            4 => (inner.clone(), filter).prop_map(|(a, filter)| format!("({a})|{filter}")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}, {a}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'a': {a}, 'k': {b}}}")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) if ({b}) else ({c})")),
            1 => inner.clone().prop_map(|a| format!("({a})[::-1]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[1:]|list == ({b})")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) is eq(({b}))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_expression_has_a_bounded_value_or_an_error(expression in expression()) {
        if let Ok(value) = value(&expression, &given()) {
            // Fuel for three megabytes, each byte of which JSON may escape.
            prop_assert!(value.to_string().len() < 20 << 20);
        }
    }
}
