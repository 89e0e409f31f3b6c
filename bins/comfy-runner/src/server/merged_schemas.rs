//! The node schemas of several ComfyUIs as one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use comfy_runner_protocol::{ObjectInfo, union_of_schemas};

/// The number of unions that are kept: one for all ComfyUIs, and some for those with certain tags.
const KEPT: usize = 4;

/// The unions of schemas that were made last. They are large, and workflows are compiled again for each new one.
#[derive(Debug, Default)]
pub struct MergedSchemas(Mutex<Vec<Merged>>);

#[derive(Debug)]
struct Merged {
    of: Vec<Weak<ObjectInfo>>,
    union: Arc<ObjectInfo>,
}

impl MergedSchemas {
    /// Returns the union of these schemas, which may take a while. It is the same one while they are. Equal schemas are their own
    /// union.
    pub fn merge(&self, all: &[Arc<ObjectInfo>]) -> Arc<ObjectInfo> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|merged| merged.is_of(all)) {
            return Arc::clone(&known.union);
        }
        let union = match all {
            [first, others @ ..] if others.iter().all(|other| other == first) => Arc::clone(first),
            all => Arc::new(union_of_schemas(all.iter().map(|schemas| &**schemas))),
        };
        kept.insert(0, Merged { of: all.iter().map(Arc::downgrade).collect(), union: Arc::clone(&union) });
        kept.truncate(KEPT);
        union
    }
}

impl Merged {
    fn is_of(&self, all: &[Arc<ObjectInfo>]) -> bool {
        let is_same = |(kept, schemas): (&Weak<ObjectInfo>, &Arc<ObjectInfo>)| {
            std::ptr::eq(kept.as_ptr(), Arc::as_ptr(schemas))
        };
        self.of.len() == all.len() && self.of.iter().zip(all).all(is_same)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas(class: &str) -> Arc<ObjectInfo> {
        let mut schemas = json!({});
        schemas[class] = json!({"input": {}, "output": []});
        Arc::new(serde_json::from_value(schemas).unwrap())
    }

    #[test]
    fn the_union_of_the_same_schemas_is_the_same_and_that_of_equal_ones_the_first() {
        let merged = MergedSchemas::default();
        let (a, b) = (schemas("A"), schemas("B"));
        let both = merged.merge(&[Arc::clone(&a), Arc::clone(&b)]);
        assert_eq!(both.keys().collect::<Vec<_>>(), ["A", "B"]);
        assert!(Arc::ptr_eq(&both, &merged.merge(&[Arc::clone(&a), Arc::clone(&b)])));
        assert!(Arc::ptr_eq(&a, &merged.merge(&[Arc::clone(&a), schemas("A")])));
        assert!(Arc::ptr_eq(&b, &merged.merge(std::slice::from_ref(&b))));
        let other = merged.merge(&[a, schemas("B")]);
        assert!(!Arc::ptr_eq(&both, &other) && both == other);
    }
}
