//! The template engine: `{{...}}` in the graph of a static workflow and in the blocks of a dynamic one.
//!
//! A [`Template`] is a string with expressions between braces, a [`ValueTemplate`] a JSON value with such strings anywhere
//! in it. Both are parsed once, when a workflow is compiled, and evaluated against the [`Variables`] of a request.
//! [`Names`] says which variables there will be, before there is a request; [`Scope`] makes them; `builtins` has those
//! that no manifest declares.

mod builtins;
mod computed;
mod condition;
mod expression;
pub(crate) mod lora;
mod metering;
mod names;
mod scope;
mod string;
mod truth;
mod value;
mod variables;
mod weight;

pub(crate) use computed::compile_computed;
pub(crate) use condition::Condition;
pub(crate) use expression::{Expression, ExpressionError};
pub(crate) use names::Names;
pub(crate) use scope::{Position, Scope};
pub(crate) use string::{OPENING, Template, push_value};
pub(crate) use truth::is_true;
pub(crate) use value::{InputError, ValueTemplate, input_value};
pub(crate) use variables::Variables;
pub(crate) use weight::text_bytes;
