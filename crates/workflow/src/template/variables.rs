//! The names that expressions see, with their values.

use std::borrow::Cow;
use std::cell::Cell;

use hashbrown::HashMap;
use serde_json::Value;

/// The largest total size of the variables of all expressions of one request, in bytes, each counted as often as an
/// expression uses it.
pub(crate) const HEAVIEST_REQUEST: u64 = 256 << 20;

static NULL: Value = Value::Null;

/// Names with their values, over those of an outer scope.
#[derive(Debug, Default)]
pub(crate) struct Variables<'o> {
    outer: Option<&'o Variables<'o>>,
    /// None is a name that is declared but has no value.
    values: HashMap<Cow<'o, str>, Option<Cow<'o, Value>>>,
    /// Computed names that have no value, and why.
    failed: HashMap<Cow<'o, str>, String>,
    /// The bytes that expressions have used; counted in the outermost scope.
    worked_on: Cell<u64>,
}

impl<'o> Variables<'o> {
    /// Creates the outermost scope.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the outermost scope, with room for this number of names.
    pub fn with_capacity(names: usize) -> Self {
        Self { values: HashMap::with_capacity(names), ..Self::default() }
    }

    /// Creates a scope of these names alone.
    #[cfg(test)]
    pub fn from_map(values: serde_json::Map<String, Value>) -> Self {
        let values = values.into_iter().map(|(name, value)| (Cow::Owned(name), Some(Cow::Owned(value))));
        Self { values: values.collect(), ..Self::default() }
    }

    /// Creates a scope whose names take precedence over those of `outer`.
    pub fn within(outer: &'o Variables<'o>) -> Self {
        Self { outer: Some(outer), ..Self::default() }
    }

    /// Returns the value of a name: null if it has none, `None` if it is not declared.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self.values.get(name) {
            Some(value) => Some(value.as_deref().unwrap_or(&NULL)),
            None => self.outer?.get(name),
        }
    }

    /// Returns whether the name has a value; null is one when a caller gave it.
    pub fn has_value(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(value) => value.is_some(),
            None => self.outer.is_some_and(|outer| outer.has_value(name)),
        }
    }

    /// Returns whether this scope itself, and not an outer one, declares the name.
    pub fn has_own(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns whether there is no outer scope.
    pub fn is_outermost(&self) -> bool {
        self.outer.is_none()
    }

    /// Counts the bytes that an expression uses. Returns false if the request exceeds its limit.
    pub fn work_on(&self, bytes: u64) -> bool {
        if let Some(outer) = self.outer {
            return outer.work_on(bytes);
        }
        self.worked_on.set(self.worked_on.get().saturating_add(bytes));
        self.worked_on.get() <= HEAVIEST_REQUEST
    }

    /// Sets a name to an owned value.
    pub fn set(&mut self, name: impl Into<Cow<'o, str>>, value: impl Into<Value>) {
        self.values.insert(name.into(), Some(Cow::Owned(value.into())));
    }

    /// Sets a name to a borrowed value.
    pub fn set_borrowed(&mut self, name: impl Into<Cow<'o, str>>, value: &'o Value) {
        self.values.insert(name.into(), Some(Cow::Borrowed(value)));
    }

    /// Declares a name without a value.
    pub fn declare(&mut self, name: impl Into<Cow<'o, str>>) {
        self.values.insert(name.into(), None);
    }

    /// Records why a computed name has no value.
    pub fn fail(&mut self, name: impl Into<Cow<'o, str>>, reason: String) {
        self.failed.insert(name.into(), reason);
    }

    /// Returns why a computed name has no value, if it failed.
    pub fn failure(&self, name: &str) -> Option<&str> {
        if self.failed.is_empty() && self.outer.is_none() {
            return None;
        }
        match self.failed.get(name) {
            Some(reason) => Some(reason),
            None if self.has_own(name) => None,
            None => self.outer?.failure(name),
        }
    }
}
