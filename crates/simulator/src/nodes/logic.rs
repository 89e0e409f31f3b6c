//! Nodes that work on plain values: primitives, switches, expressions, text.

use indexmap::IndexMap;
use minijinja::value::{Rest, Serde};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value as Json, json};

use super::{Call, Failure, NodeResult};
use crate::value::Value;
use comfy_runner_workflow::validate::python;

/// The largest number of steps that an expression may take.
const MOST_STEPS: u64 = 10_000;

/// Returns the lazy inputs that a node asks for.
pub fn lazy_inputs(class: &str, inputs: &IndexMap<String, Value>) -> &'static [&'static str] {
    match (class, inputs.get("switch")) {
        ("ComfySwitchNode", Some(Value::Plain(switch))) if python::bool(switch) => &["on_true"],
        ("ComfySwitchNode", _) => &["on_false"],
        _ => &[],
    }
}

pub fn switch(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let [chosen] = lazy_inputs(call.class, call.inputs) else { return call.wrong("switch", "true or false") };
    call.input(chosen).cloned().map(NodeResult::one)
}

/// Evaluates an expression of Python as far as minijinja has the same: arithmetic, comparisons and the functions below,
/// but no bitwise operators.
pub fn math(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let expression = call.text("expression")?.trim();
    if expression.is_empty() {
        return Err(Failure::raised("ValueError", "Expression cannot be empty."));
    }
    let values = call.inputs.iter().filter_map(|(name, value)| Some((name.strip_prefix("values.")?, value)));
    let mut context = Map::new();
    for (name, value) in values {
        let Value::Plain(value) = value else { return call.wrong(&format!("values.{name}"), "a number") };
        context.insert(name.to_owned(), value.clone());
    }
    let listed = context.values().cloned().collect();
    context.insert("values".to_owned(), Json::Array(listed));
    let failed = |error: Error| {
        let message = format!("Math Expression '{expression}' cannot be evaluated: {error}");
        Failure::raised("ValueError", message)
    };
    let environment = environment();
    let result =
        environment.compile_expression(expression).and_then(|compiled| compiled.eval(Serde(&context)));
    let result = serde_json::to_value(result.map_err(failed)?).unwrap_or_default();
    let float = python::float(&result).ok().map(|float| float.to_json()).filter(|_| !result.is_string());
    let Some(float) = float.filter(|float| float.as_f64().is_some_and(f64::is_finite)) else {
        let message =
            format!("Math Expression '{expression}' must evaluate to a numeric result, got {result}");
        return Err(Failure::raised("ValueError", message));
    };
    let whole = python::int(&result).map_err(|error| Failure::raised(error.kind, error.text))?.to_json();
    let truth = Json::Bool(python::bool(&result));
    Ok(NodeResult { outputs: [float, whole, truth].map(Value::Plain).to_vec(), ..NodeResult::default() })
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(MOST_STEPS));
    let pick = |wanted: std::cmp::Ordering| {
        move |numbers: Rest<f64>| {
            let best = numbers
                .iter()
                .copied()
                .reduce(|best, number| if number.total_cmp(&best) == wanted { number } else { best });
            best.map(number).ok_or_else(|| Error::new(ErrorKind::MissingArgument, "at least one number"))
        }
    };
    environment.add_function("min", pick(std::cmp::Ordering::Less));
    environment.add_function("max", pick(std::cmp::Ordering::Greater));
    environment.add_function("sum", |numbers: Rest<f64>| number(numbers.iter().sum()));
    environment.add_function("pow", |base: f64, exponent: f64| number(base.powf(exponent)));
    environment.add_function("float", |value: f64| value);
    for (name, function) in [
        ("abs", f64::abs as fn(f64) -> f64),
        ("round", f64::round_ties_even),
        ("floor", f64::floor),
        ("ceil", f64::ceil),
        ("int", f64::trunc),
        ("sqrt", f64::sqrt),
        ("log", f64::ln),
        ("log2", f64::log2),
        ("log10", f64::log10),
        ("sin", f64::sin),
        ("cos", f64::cos),
        ("tan", f64::tan),
    ] {
        environment.add_function(name, move |value: f64| number(function(value)));
    }
    environment
}

/// Returns a whole number as an integer, so that it stays one in further expressions.
fn number(value: f64) -> minijinja::Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { (value as i64).into() } else { value.into() }
}

pub fn concatenate(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let parts = [call.text("string_a")?, call.text("string_b")?];
    Ok(NodeResult::one(Value::Plain(json!(parts.join(call.text("delimiter")?)))))
}

pub fn show(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let text = match call.input("source")? {
        Value::Plain(Json::Object(_) | Json::Array(_)) | Value::Plain(Json::Null) => {
            call.input("source")?.describe().to_string()
        }
        value => python::str(&value.describe()),
    };
    let report = Map::from_iter([("text".to_owned(), json!([text]))]);
    Ok(NodeResult { outputs: vec![Value::Plain(json!(text))], report })
}

/// Returns a width and a height for an aspect ratio and a number of pixels.
pub fn resolution(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    // Such as `3:2 (Photo)`.
    let ratio = call.text("aspect_ratio")?.split(' ').next().unwrap_or_default();
    let sides =
        ratio.split_once(':').and_then(|(x, y)| Some((x.parse::<f64>().ok()?, y.parse::<f64>().ok()?)));
    let Some((x, y)) = sides else { return call.wrong("aspect_ratio", "a ratio such as 3:2") };
    let multiple = f64::from(call.size("multiple")?.max(1));
    let scale = (call.float("megapixels")? * 1024.0 * 1024.0 / (x * y)).sqrt();
    let side = |part: f64| json!(((part * scale / multiple).round_ties_even() * multiple) as u64);
    Ok(NodeResult { outputs: vec![Value::Plain(side(x)), Value::Plain(side(y))], ..NodeResult::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(expression: &str, a: Json) -> Json {
        let environment = environment();
        let result = environment.compile_expression(expression).unwrap().eval(Serde(json!({"a": a, "b": 2})));
        serde_json::to_value(result.unwrap()).unwrap()
    }

    #[test]
    fn expressions_mean_what_they_do_in_python() {
        for (expression, a, result) in [
            ("a * 16 + 1", json!(5), json!(81)),
            ("a/2", json!(5), json!(2.5)),
            ("a // b", json!(5), json!(2)),
            ("(a // 32) * 32", json!(100), json!(96)),
            ("floor (a * b + 1)", json!(1.3), json!(3)),
            ("min(abs(a), 16) * b", json!(-20), json!(32)),
            ("max(5, round(a * 24)) % 17", json!(2.5), json!(9)),
            ("a > 2048", json!(3000), json!(true)),
            ("ceil(a / (81 - 5))", json!(81), json!(2)),
            ("round(a)", json!(2.5), json!(2)),
        ] {
            assert_eq!(eval(expression, a), result, "{expression}");
        }
        assert!(environment().compile_expression("a & ~1").is_err());
    }
}
