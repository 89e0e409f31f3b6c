//! The document that every address of the page answers.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use crate::ASSETS;
use crate::file::{file, version};

/// Stands for the version in `index.html`.
const VERSION_MARK: &str = "/assets/VERSION/";
/// Stands for the links that make a browser fetch all modules at once.
const PRELOADS_MARK: &str = "<!-- preloads -->";

/// The document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// The HTML.
    pub html: String,
    /// The `Content-Security-Policy` that it is sent with: scripts, styles, media and requests of this server only, and no
    /// inline ones but the import map, by its digest.
    pub content_security_policy: String,
}

/// The document of an installed binary.
static EMBEDDED: LazyLock<Index> = LazyLock::new(read);

/// Returns the document, with the present version in the addresses of its files.
pub fn index() -> Cow<'static, Index> {
    if cfg!(debug_assertions) { Cow::Owned(read()) } else { Cow::Borrowed(&EMBEDDED) }
}

fn read() -> Index {
    let file = file("index.html").expect("index.html is embedded");
    let html = String::from_utf8_lossy(&file.content)
        .replace(VERSION_MARK, &format!("{ASSETS}{}/", version()))
        .replace(PRELOADS_MARK, &preloads("app.js"));
    let import_map = inline_script(&html).unwrap_or_default();
    let digest = BASE64_STANDARD.encode(Sha256::digest(import_map));
    let content_security_policy = format!(
        "default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' blob: data:; \
         media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    Index { html, content_security_policy }
}

/// Returns the content of the import map, the only inline script.
fn inline_script(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once("<script type=\"importmap\">")?;
    Some(rest.split_once("</script>")?.0)
}

/// Returns links to the modules that the module at `entry` needs before it runs.
fn preloads(entry: &str) -> String {
    let mut paths = vec![entry.to_owned()];
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        let Some(module) = file(&path) else { continue };
        for import in static_imports(&String::from_utf8_lossy(&module.content)) {
            let import = resolve(&path, import);
            if !paths.contains(&import) {
                paths.push(import);
            }
        }
    }
    let link = |path: &String| format!("<link rel=\"modulepreload\" href=\"{ASSETS}{}/{path}\">", version());
    paths.iter().map(link).collect::<Vec<_>>().join("\n    ")
}

/// Returns the relative addresses in `import ... from "./x.js"` and `export ... from "./x.js"`, each on a line. A dynamic
/// `import()` is not needed at first, and the imports of types, in comments, never are.
fn static_imports(module: &str) -> impl Iterator<Item = &str> {
    module
        .lines()
        .filter(|line| line.starts_with("import ") || line.starts_with("export "))
        .filter_map(|line| line.split_once("from \"")?.1.split_once('"'))
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("./") || path.starts_with("../"))
}

/// Returns the path to which an address in the module at `from` leads.
fn resolve(from: &str, address: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in address.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_no_other_host_and_has_no_inline_code_but_the_import_map() {
        let index = index();
        assert!(!index.html.contains("VERSION") && !index.html.contains(PRELOADS_MARK));
        assert!(!index.html.contains("://"), "an address of another host");
        assert_eq!(index.html.matches("<script").count(), 2);
        assert!(
            !index.html.contains("style=") && !index.html.contains("<style") && !index.html.contains(" on")
        );
        assert!(!index.content_security_policy.contains("unsafe"));
        assert!(index.content_security_policy.contains("frame-ancestors 'none'"));
    }

    #[test]
    fn every_module_that_the_page_starts_with_is_there_and_fetched_at_once() {
        let html = index().into_owned().html;
        let prefix = format!("{ASSETS}{}/", version());
        let mut preloads = 0;
        for address in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let path = address.strip_prefix(&prefix).unwrap_or_else(|| panic!("{address} has no version"));
            assert!(file(path).is_some(), "{path} is missing");
            preloads += 1;
        }
        assert!(preloads > 10);
    }

    #[test]
    fn imports_are_resolved_from_the_module_that_has_them() {
        let module = "/** @import { T } from \"./types.js\" */\nimport { a } from \"../html.js\";\nexport { b } from \"./b.js\";\nimport c from \"preact\";\nimport(\"./later.js\");";
        let imports: Vec<_> = static_imports(module).map(|path| resolve("views/run/view.js", path)).collect();
        assert_eq!(imports, ["views/html.js", "views/run/b.js"]);
    }
}
