//! Compares a link's type with an input's.

use serde_json::Value;

use super::release::Rules;

const ANY: &str = "*";
const MATCH: &str = "COMFY_MATCHTYPE_V3";

/// A type as a schema writes it: a name, names with commas between them, or a list of choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Type<'s> {
    Named(&'s str),
    Choices(&'s [Value]),
}

impl<'s> Type<'s> {
    /// The type of an input. What is neither a string nor a list is a type that nothing else has.
    pub fn read(written: &'s Value) -> Self {
        match written {
            Value::String(name) => Self::Named(name),
            Value::Array(choices) => Self::Choices(choices),
            _ => Self::Choices(&[]),
        }
    }

    /// As Python writes it into a message.
    pub fn in_message(self) -> String {
        match self {
            Self::Named(name) => name.to_owned(),
            Self::Choices(choices) => super::python::list_repr(choices),
        }
    }

    /// As JSON.
    pub fn to_json(self) -> Value {
        match self {
            Self::Named(name) => Value::from(name),
            Self::Choices(choices) => Value::from(choices),
        }
    }
}

/// Returns whether an output of type `given` may be linked to an input of type `taken`: one type in common is enough.
pub(super) fn fits(given: Type<'_>, taken: Type<'_>, rules: &Rules) -> bool {
    let either = |name| given == Type::Named(name) || taken == Type::Named(name);
    if given == taken || either(ANY) || (rules.match_types && either(MATCH)) {
        return true;
    }
    match (given, taken) {
        (Type::Named(given), Type::Named(taken)) => {
            let types = |list: &'_ str| list.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
            let (given, taken) = (types(given), types(taken));
            let any = rules.any_among_others && given.iter().chain(&taken).any(|name| name == ANY);
            any || given.iter().any(|name| taken.contains(name))
        }
        (Type::Choices(_), Type::Named("COMBO")) => rules.any_among_others,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Release;
    use serde_json::json;

    #[test]
    fn one_type_in_common_is_enough_and_later_releases_know_more_wildcards() {
        let choices = [json!("a"), json!("b")];
        let list = Type::Choices(&choices);
        let named = Type::Named;
        for (given, taken, old, new) in [
            (named("IMAGE"), named("IMAGE"), true, true),
            (named("IMAGE"), named("MASK"), false, false),
            (named("IMAGE"), named("IMAGE, MASK"), true, true),
            (named("A,B"), named("B,C"), true, true),
            (named("IMAGE"), named("*"), true, true),
            (named("*"), list, true, true),
            (named("IMAGE"), named("INT,*"), false, true),
            (named(MATCH), named("IMAGE"), false, true),
            (list, list, true, true),
            (list, named("COMBO"), false, true),
            (named("COMBO"), list, false, false),
            (list, named("STRING"), false, false),
        ] {
            assert_eq!(fits(given, taken, &Release::OLDEST.rules()), old, "{given:?} {taken:?}");
            assert_eq!(fits(given, taken, &Release::NEWEST.rules()), new, "{given:?} {taken:?}");
        }
    }
}
