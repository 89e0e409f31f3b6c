//! Expressions rewritten so that every value is weighed: `a * b` becomes `((a|w) * (b|w))|w`, where `w` is the filter
//! of
//! [`super::weight`].
//!
//! The engine has no hook for its operators. Its parser returns the tree, from which the expression is rewritten.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;
use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::truth::TRUTH;
use super::weight::WEIGH;

/// How many operators of the same rank in a row are weighed together, at the end of the row. Each weighing costs a
/// level of parentheses, and the parser takes a limited number of them.
const LONGEST_ROW: usize = 32;

/// The expression with every value weighed.
///
/// # Errors
/// What the engine cannot parse.
pub(super) fn metered(source: &str) -> Result<String, Error> {
    operand(&parse_expr(source)?)
}

/// As [`metered`], of an expression whose value is only a truth.
///
/// # Errors
/// What the engine cannot parse.
pub(super) fn metered_test(source: &str) -> Result<String, Error> {
    test(&parse_expr(source)?)
}

type Written = Result<String, Error>;

/// The expression as an operand of anything, with what it makes weighed.
fn operand(expr: &Expr<'_>) -> Written {
    Ok(match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => bare(expr)?,
        Expr::Const(constant) => literal(&constant.value)?,
        Expr::Slice(_) | Expr::Call(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
            format!("{}|{WEIGH}", bare(expr)?)
        }
        Expr::UnaryOp(unary) => match unary.op {
            UnaryOpKind::Not => format!("(not {})", test(&unary.expr)?),
            UnaryOpKind::Neg => format!("(-{})", postfix(&unary.expr)?),
        },
        Expr::BinOp(binary) => match rank(binary.op) {
            // The result is one of the operands, or a boolean.
            Rank::Or | Rank::And | Rank::Compare => format!("({})", row(expr, input)?),
            Rank::Sum | Rank::Concat | Rank::Product | Rank::Power => {
                format!("({})|{WEIGH}", row(expr, input)?)
            }
        },
        Expr::Compare(compare) => {
            let mut written = input(&compare.expr)?;
            for op in &compare.ops {
                let symbol = match op.op {
                    CompareOpKind::Eq => "==",
                    CompareOpKind::Ne => "!=",
                    CompareOpKind::Lt => "<",
                    CompareOpKind::Lte => "<=",
                    CompareOpKind::Gt => ">",
                    CompareOpKind::Gte => ">=",
                    CompareOpKind::In => "in",
                    CompareOpKind::NotIn => "not in",
                };
                written = format!("{written} {symbol} {}", input(&op.expr)?);
            }
            format!("({written})")
        }
        Expr::IfExpr(choice) => {
            let (test, yes) = (test(&choice.test_expr)?, operand(&choice.true_expr)?);
            match &choice.false_expr {
                Some(no) => format!("({yes} if {test} else {})", operand(no)?),
                None => format!("({yes} if {test})"),
            }
        }
        Expr::Filter(filter) => {
            let value = filter.expr.as_ref().ok_or_else(|| refuse("a filter has no value"))?;
            format!("{}|{}({})|{WEIGH}", input(value)?, filter.name, args(&filter.args)?)
        }
        Expr::Test(test) => format!("({} is {}({}))", input(&test.expr)?, test.name, args(&test.args)?),
    })
}

/// The expression where only its truth counts: a boolean, or a value that [`super::truth`] makes one of.
fn test(expr: &Expr<'_>) -> Written {
    Ok(match expr {
        Expr::BinOp(binary) => match rank(binary.op) {
            Rank::Or | Rank::And => format!("({})", row(expr, test)?),
            Rank::Compare => operand(expr)?,
            _ => format!("{}|{TRUTH}", operand(expr)?),
        },
        Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Not) => operand(expr)?,
        Expr::Compare(_) | Expr::Test(_) => operand(expr)?,
        _ => format!("{}|{TRUTH}", input(expr)?),
    })
}

/// The expression as what an operator, filter or test works on: weighed, also when nothing made it.
fn input(expr: &Expr<'_>) -> Written {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => Ok(format!("{}|{WEIGH}", bare(expr)?)),
        _ => operand(expr),
    }
}

/// The expression as what `.name`, `[...]` or `(...)` may follow.
fn postfix(expr: &Expr<'_>) -> Written {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => bare(expr),
        _ => Ok(format!("({})", operand(expr)?)),
    }
}

/// The expression without a weighing of its own, where it needs no parentheses.
fn bare(expr: &Expr<'_>) -> Written {
    Ok(match expr {
        Expr::Var(var) => var.id.to_owned(),
        Expr::GetAttr(get) => format!("{}.{}", postfix(&get.expr)?, get.name),
        Expr::GetItem(get) => format!("{}[{}]", postfix(&get.expr)?, operand(&get.subscript_expr)?),
        Expr::Slice(slice) => {
            let part = |part: &Option<Expr<'_>>| part.as_ref().map_or(Ok(String::new()), operand);
            let parts = [part(&slice.start)?, part(&slice.stop)?, part(&slice.step)?];
            format!("({})[{}]", input(&slice.expr)?, parts.join(":"))
        }
        Expr::Call(call) => format!("{}({})", postfix(&call.expr)?, args(&call.args)?),
        Expr::List(list) => format!("[{}]", all(&list.items)?.join(", ")),
        Expr::Tuple(tuple) => {
            format!("({})", all(&tuple.items)?.iter().map(|item| format!("{item},")).collect::<String>())
        }
        Expr::Map(map) => {
            let entries = all(&map.keys)?.into_iter().zip(all(&map.values)?);
            let entries: Vec<String> = entries.map(|(key, value)| format!("{key}: {value}")).collect();
            // Braces of a map and of the expression that holds it stay apart.
            format!("{{ {} }}", entries.join(", "))
        }
        _ => format!("({})", operand(expr)?),
    })
}

fn all(expressions: &[Expr<'_>]) -> Result<Vec<String>, Error> {
    expressions.iter().map(operand).collect()
}

fn args(args: &[CallArg<'_>]) -> Written {
    let written = args.iter().map(|arg| {
        Ok(match arg {
            CallArg::Pos(value) => input(value)?,
            CallArg::Kwarg(name, value) => format!("{name}={}", input(value)?),
            CallArg::PosSplat(value) => format!("*{}", input(value)?),
            CallArg::KwargSplat(value) => format!("**{}", input(value)?),
        })
    });
    Ok(written.collect::<Result<Vec<String>, Error>>()?.join(", "))
}

/// Operators that bind equally.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Or,
    And,
    Compare,
    Sum,
    Concat,
    Product,
    Power,
}

fn rank(op: BinOpKind) -> Rank {
    match op {
        BinOpKind::ScOr => Rank::Or,
        BinOpKind::ScAnd => Rank::And,
        BinOpKind::Eq | BinOpKind::Ne | BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte => {
            Rank::Compare
        }
        BinOpKind::In => Rank::Compare,
        BinOpKind::Add | BinOpKind::Sub => Rank::Sum,
        BinOpKind::Concat => Rank::Concat,
        BinOpKind::Mul | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem => Rank::Product,
        BinOpKind::Pow => Rank::Power,
    }
}

/// A binary operator and those of its rank before it, from left to right and without parentheses around them. `write`
/// writes the operands.
fn row(expr: &Expr<'_>, write: fn(&Expr<'_>) -> Written) -> Written {
    let mut first = expr;
    let mut rest = Vec::new();
    while let Expr::BinOp(binary) = first {
        let goes_on = match rest.last() {
            None => true,
            Some((op, _)) => {
                rank(*op) == rank(binary.op) && rank(*op) != Rank::Compare && rest.len() < LONGEST_ROW
            }
        };
        if !goes_on {
            break;
        }
        rest.push((binary.op, &binary.right));
        first = &binary.left;
    }
    let mut written = write(first)?;
    for (op, right) in rest.into_iter().rev() {
        written = format!("{written} {} {}", symbol(op), write(right)?);
    }
    Ok(written)
}

fn symbol(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Eq => "==",
        BinOpKind::Ne => "!=",
        BinOpKind::Lt => "<",
        BinOpKind::Lte => "<=",
        BinOpKind::Gt => ">",
        BinOpKind::Gte => ">=",
        BinOpKind::ScAnd => "and",
        BinOpKind::ScOr => "or",
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        BinOpKind::Concat => "~",
        BinOpKind::In => "in",
    }
}

fn literal(value: &Value) -> Written {
    Ok(match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::None => "none".to_owned(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => format!("{number:?}"),
            _ => return Err(refuse("a number is too large")),
        },
        kind => return Err(refuse(&format!("{kind} cannot be written in an expression"))),
    })
}

fn refuse(reason: &str) -> Error {
    Error::new(ErrorKind::SyntaxError, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::*;

    /// The values of an expression as it is and rewritten.
    fn both(source: &str) -> (String, String) {
        let mut environment = Environment::new();
        environment.set_fuel(Some(100_000));
        let variables = context! { a => 7, b => 2.5, s => "te\"x\\t", l => vec![3, 1, 2], m => context! { k => vec!["x"], w => 8 }, t => true };
        let evaluate = |environment: &Environment<'_>, source: &str| {
            let value = environment.compile_expression(source).and_then(|compiled| compiled.eval(&variables));
            value.map_or_else(|error| format!("{:?}", error.kind()), |value| format!("{value:?}"))
        };
        let plain = evaluate(&environment, source);
        super::super::weight::install(&mut environment);
        super::super::truth::install(&mut environment);
        (plain, evaluate(&environment, &metered(source).unwrap()))
    }

    #[test]
    fn a_rewritten_expression_has_the_same_value() {
        for source in [
            "a",
            "a + b * 2",
            "(a + b) * 2",
            "a - 2 - 1",
            "a - (2 - 1)",
            "2 ** 3 ** 2",
            "-a ** 2",
            "(-a) ** 2",
            "- a | abs",
            "not a and t",
            "not (a and t)",
            "a ~ s ~ b",
            "s ~ (a + 1)",
            "a // 2 % 2",
            "a == 7",
            "1 < a <= 7 != 3",
            "3 in l",
            "4 not in l",
            "not 4 in l",
            "a if t else b",
            "(a if t)",
            "a if not t else b if t else 1",
            "l | sort | join(', ')",
            "l|map('string')|join",
            "l[0]",
            "l[-1]",
            "l[1:]",
            "l[::-1]",
            "l[:2:1]|list",
            "s[1:3]",
            "m.k[0]",
            "m['w'] + 1",
            "m.k",
            "[a, [b, 'x']]",
            "{'a': a, 'b': {'c': l}}",
            "(1, 2)",
            "(1,)",
            "()",
            "'it\\'s \\\\ \\n \"q\"'",
            "1e3",
            "1.5e-7",
            "0x10",
            "1_000",
            "18446744073709551616",
            "a is odd",
            "a is not even",
            "b is defined",
            "missing is defined",
            "missing | default(3)",
            "missing",
            "missing.part",
            "a is divisibleby 7",
            "a is eq(7) and t",
            "l is sequence",
            "s | replace('t', 'T') | upper",
            "l|sum",
            "l|sum + 1",
            "l|max",
            "l|select('>', 1)|list",
            "m|items|list",
            "m|dictsort",
            "l|batch(2)|list",
            "l|length * 2",
            "none",
            "true",
            "False",
            "a in [7, 8] or b",
            "[l] * 2",
            "'x' * 3",
            "l + l",
            "l|first ~ l|last",
            "1 / 0",
            "s.upper()",
            "f(1)",
            "l|zip(l)|list",
            "-(a)",
            "--a",
            "a.b",
            "m.k.x",
            "l|map(attribute='x')|list",
            "m.w|string|length",
            "a|round(1) * 2",
            "l|join(sep)",
            "l|nonsense",
            "a and (b or t)",
            "a or b and t",
            "[1,2]|map('abs')|map('float')|list",
        ] {
            let (plain, rewritten) = both(source);
            assert_eq!(plain, rewritten, "{source}: {}", metered(source).unwrap());
        }
    }

    #[test]
    fn the_string_false_counts_as_false_wherever_a_truth_is_asked_for() {
        let mut environment = Environment::new();
        super::super::weight::install(&mut environment);
        super::super::truth::install(&mut environment);
        let value = |source: &str, rewritten: String| {
            let compiled = environment.compile_expression_owned(rewritten).unwrap();
            let value = compiled.eval(context! { no => "False", yes => "x", zero => 0 });
            serde_json::to_value(value.unwrap_or_else(|error| panic!("{source}: {error}")))
                .unwrap()
                .to_string()
        };
        for (source, expected) in
            [("1 if no else 2", "2"), ("not no", "true"), ("1 if yes and not no else 2", "1")]
        {
            assert_eq!(value(source, metered(source).unwrap()), expected, "{source}");
        }
        for (source, expected) in
            [("yes and no", "false"), ("no or zero", "false"), ("no or (yes and 1)", "true")]
        {
            assert_eq!(value(source, metered_test(source).unwrap()), expected, "{source}");
        }
    }

    #[test]
    fn every_value_is_weighed() {
        assert_eq!(metered("a * 2").unwrap(), format!("(a|{WEIGH} * 2)|{WEIGH}"));
        assert_eq!(metered("x in [y]").unwrap(), format!("(x|{WEIGH} in [y]|{WEIGH})"));
        assert_eq!(metered("p|f(q)").unwrap(), format!("p|{WEIGH}|f(q|{WEIGH})|{WEIGH}"));
    }
}
