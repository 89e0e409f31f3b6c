//! Which item of a list becomes which wanted one.

use std::cmp::Reverse;

use serde_json::Value;

use super::equal::same;

/// Returns for each wanted item the item that becomes it: one that is equal, one with the same `id`, or the one that has
/// most in common with it.
pub(super) fn matches(now: &[Value], wanted: &[Value]) -> Vec<Option<usize>> {
    let mut matched = vec![None; wanted.len()];
    let mut free: Vec<usize> = (0..now.len()).collect();
    let mut round = |likeness: &dyn Fn(&Value, &Value) -> usize| {
        for (at, wanted) in wanted.iter().enumerate() {
            if matched[at].is_some() {
                continue;
            }
            let likest = free
                .iter()
                .enumerate()
                .map(|(place, old)| (likeness(&now[*old], wanted), Reverse(old.abs_diff(at)), place))
                .filter(|(likeness, ..)| *likeness > 0)
                .max();
            if let Some((.., place)) = likest {
                matched[at] = Some(free.remove(place));
            }
        }
    };
    round(&|now, wanted| usize::from(same(now, wanted)));
    round(&|now, wanted| {
        usize::from(now.get("id").is_some_and(|id| id.is_string() && wanted.get("id") == Some(id)))
    });
    round(&in_common);
    matched
}

/// Returns how many entries two maps share, if that is half of the smaller one's or more.
fn in_common(a: &Value, b: &Value) -> usize {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return 0 };
    let shared = a.iter().filter(|(key, a)| b.get(*key).is_some_and(|b| same(a, b))).count();
    if shared * 2 >= a.len().min(b.len()) { shared } else { 0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_items_come_first_then_those_with_the_same_id_then_the_likest() {
        let items = |items: Value| items.as_array().unwrap().clone();
        let now = items(json!([{"id": "a", "min": 1}, {"id": "b", "min": 2, "max": 3}, "text", "text"]));
        let wanted = items(json!([{"id": "c", "min": 2, "max": 3}, "text", {"id": "a", "min": 4}, 5]));
        assert_eq!(matches(&now, &wanted), [Some(1), Some(2), Some(0), None]);
        // What shares less than half is another item.
        let wanted = items(json!([{"id": "d", "min": 9, "max": 3, "step": 1}]));
        assert_eq!(matches(&now, &wanted), [None]);
    }
}
