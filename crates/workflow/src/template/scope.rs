//! The variables of a request, and of each instance in it.

use comfy_runner_manifest::{Manifest, Params};
use serde_json::Value;

use super::builtins;
use super::expression::{Expression, ExpressionError, Missing};
use super::variables::Variables;
use super::weight::text_bytes;
use crate::dynamic::Limits;
use crate::instance_seeds::{BaseSeed, InstanceSeeds};
use crate::output_folder::OutputFolder;

/// The position of an instance in its repetition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position<'a> {
    /// From 0.
    pub index: usize,
    /// The element of a list that is repeated over.
    pub element: Option<&'a Value>,
}

/// The source of variables: a workflow's manifest, and its `computed`, parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'w> {
    pub manifest: &'w Manifest,
    pub computed: &'w [(String, Expression)],
}

impl<'w> Scope<'w> {
    /// Returns the variables of a request: of a static workflow, and outside of repetitions of a dynamic one.
    ///
    /// `defaults` come first; inputs, built-in names and computed ones take precedence over those before them.
    pub fn request_variables(self, params: &'w Params, folder: &OutputFolder) -> Variables<'w> {
        let manifest = self.manifest;
        let names = manifest.defaults.len()
            + manifest.inputs.len()
            + builtins::ALWAYS.len()
            + manifest.computed.len();
        let mut variables = Variables::with_capacity(names);
        // What the manifest declares replaces a built-in name.
        builtins::set_request(&mut variables, manifest, params, folder);
        for (name, value) in &manifest.defaults {
            variables.set_borrowed(name.as_str(), value);
        }
        for (id, value) in params.iter() {
            variables.set_borrowed(id, value);
        }
        for input in manifest.inputs.iter().filter(|input| params.get(&input.id).is_none()) {
            variables.declare(input.id.as_str());
        }
        if let Some(base) = BaseSeed::from_params(manifest, params) {
            variables.set("seed", base.value());
        }
        builtins::set_position(&mut variables, 0);
        builtins::set_derived(&mut variables, manifest);
        self.compute(&mut variables, |_| true);
        variables
    }

    /// Returns the variables of an instance: those of the request, and what its position in a repetition adds.
    pub fn instance_variables<'o>(
        self,
        outer: &'o Variables<'o>,
        position: Position<'o>,
        seeds: InstanceSeeds,
    ) -> Variables<'o>
    where
        'w: 'o,
    {
        let mut variables = Variables::within(outer);
        builtins::set_position(&mut variables, position.index);
        match position.element {
            Some(Value::Object(fields)) => {
                for (name, value) in fields {
                    variables.set_borrowed(name.as_str(), value);
                }
                for field in self.scene_fields().filter(|field| !fields.contains_key(*field)) {
                    variables.declare(field);
                }
            }
            Some(element) => variables.set_borrowed("item", element),
            None => {}
        }
        let own = position.element.and_then(|element| element.get("seed"));
        if let Some(seed) = seeds.at(own, position.index as u64) {
            variables.set("seed", seed);
        }
        builtins::set_derived(&mut variables, self.manifest);
        let is_field = |name: &str| position.element.is_some_and(|element| element.get(name).is_some());
        self.compute(&mut variables, |name| !is_field(name));
        variables
    }

    /// Evaluates `computed` in order: in an inner scope only what depends on that scope's own names.
    fn compute<'o>(self, variables: &mut Variables<'o>, may_set: impl Fn(&str) -> bool)
    where
        'w: 'o,
    {
        let outermost = variables.is_outermost();
        for (name, expression) in self.computed {
            let concerned = || expression.names().any(|used| variables.has_own(used));
            if !may_set(name) || !(outermost || concerned()) {
                continue;
            }
            match expression.value(variables, Missing::Strict) {
                Ok(value) if text_bytes(&value) > Limits::default().text => {
                    variables.fail(name.as_str(), "its value is too large".to_owned());
                }
                Ok(value) => variables.set(name.as_str(), value),
                // A repetition may bring the name. Without one, only what uses this computed name fails.
                Err(error @ ExpressionError::Unknown { .. }) => {
                    variables
                        .fail(name.as_str(), format!("{error} (only scenes of a repetition may have it)"));
                }
                Err(error) => variables.fail(name.as_str(), error.to_string()),
            }
        }
    }

    /// Returns the ids of the fields that `per_scene` declares.
    fn scene_fields(self) -> impl Iterator<Item = &'w str> {
        self.manifest
            .scene_input()
            .into_iter()
            .flat_map(|input| &input.per_scene)
            .map(|field| field.id.as_str())
    }
}
