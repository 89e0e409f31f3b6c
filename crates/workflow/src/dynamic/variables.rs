//! The names that expressions see, and their values.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::{Map, Value};

/// What the variables of all expressions of one request may weigh together, in bytes, each counted as often as an
/// expression works on it.
pub(crate) const HEAVIEST_REQUEST: u64 = 256 << 20;

/// Names with their values, over those of an outer scope. Null is a name that is declared but has no value.
#[derive(Debug, Default)]
pub(crate) struct Variables<'o> {
    outer: Option<&'o Variables<'o>>,
    values: Map<String, Value>,
    /// Computed names that have no value, and why.
    failed: HashMap<String, String>,
    /// What expressions have worked on, in bytes; counted in the outermost scope.
    worked_on: Cell<u64>,
}

impl<'o> Variables<'o> {
    /// These names alone.
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// These names, and where they say nothing those of `outer`.
    pub fn within(outer: &'o Variables<'o>, values: Map<String, Value>) -> Self {
        Self { outer: Some(outer), values, ..Self::default() }
    }

    /// The value of a name; null when it has none, nothing when it is not declared.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.outer?.get(name))
    }

    /// Whether this scope itself, and not an outer one, declares the name.
    pub fn has_own(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether there is no outer scope.
    pub fn is_outermost(&self) -> bool {
        self.outer.is_none()
    }

    /// Counts what an expression works on, in bytes. False when the request has used up what it may.
    pub fn work_on(&self, bytes: u64) -> bool {
        if let Some(outer) = self.outer {
            return outer.work_on(bytes);
        }
        self.worked_on.set(self.worked_on.get().saturating_add(bytes));
        self.worked_on.get() <= HEAVIEST_REQUEST
    }

    /// Gives a name its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.values.insert(name.into(), value.into());
    }

    /// Notes why a computed name has no value: who needs it is told.
    pub fn fail(&mut self, name: impl Into<String>, reason: String) {
        self.failed.insert(name.into(), reason);
    }

    /// Why a computed name has no value, if so.
    pub fn failure(&self, name: &str) -> Option<&str> {
        match self.failed.get(name) {
            Some(reason) => Some(reason),
            None if self.has_own(name) => None,
            None => self.outer?.failure(name),
        }
    }
}
