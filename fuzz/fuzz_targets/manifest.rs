//! A manifest and a request's params from any bytes, parted by a line of `----`: checked values, or messages of bounded
//! length. Never a panic.

#![no_main]

use comfy_runner_manifest::diagnostic::LONGEST_MESSAGE;
use comfy_runner_manifest::{Manifest, Params, Uploads};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|input: &str| {
    let (manifest, given) = input.split_once("\n----\n").unwrap_or((input, "{}"));
    let (manifest, problems) = Manifest::parse_partly(manifest, "w");
    for problem in &problems {
        assert!(problem.message.chars().count() <= LONGEST_MESSAGE + 3, "a message is cut");
        let _ = problem.to_string();
    }
    let Some(manifest) = manifest else { return };
    let given: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
    match Params::check(&manifest, &given, &Uploads::new(), &mut || 7) {
        Ok(params) => {
            // Checked values pass the check again.
            let again: Map<String, Value> =
                params.iter().map(|(id, value)| (id.to_owned(), value.clone())).collect();
            let again = Params::check(&manifest, &again, &Uploads::new(), &mut || 7);
            assert!(again.is_ok() || problems.iter().any(|problem| problem.is_error()), "{again:?}");
        }
        Err(error) => assert!(error.to_string().chars().count() < 11 * (LONGEST_MESSAGE + 5)),
    }
});
