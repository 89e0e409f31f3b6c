//! The configuration file of `serve`: a TOML file with options by their long names.
//!
//! Its options become arguments, which are parsed like those of the command line. So every option of `serve` can be in
//! the file, with the same values and the same errors.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, ValueHint};
use comfy_runner_scheduler::Priority;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::{ApiKeyTable, Cli, ComfyUiTable, Command};

/// The options that make no sense in the file.
const NOT_IN_A_FILE: [&str; 3] = ["config", "help", "version"];

/// Why options are not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The command line is wrong, or asks for help.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The configuration file has mistakes.
    #[error("{}", mistakes(.0, .1))]
    File(PathBuf, Vec<Mistake>),
}

/// A mistake in a configuration file.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    line: usize,
    message: String,
}

fn mistakes(path: &Path, mistakes: &[Mistake]) -> String {
    let path = path.display();
    let lines = mistakes.iter().map(|mistake| format!("{path}:{}: {}", mistake.line, mistake.message));
    lines.collect::<Vec<_>>().join("\n")
}

/// Parses a command line, with the options of the configuration file that it, or the environment, names. An option of the
/// command line or of the environment takes precedence over the same option of the file.
///
/// # Errors
/// See [`OptionsError`].
pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Cli, OptionsError> {
    let mut args: Vec<_> = args.into_iter().collect();
    let matches = Cli::command().try_get_matches_from(&args)?;
    let (mut comfyuis, mut keys) = (Vec::new(), Vec::new());
    if let Some(serve) = matches.subcommand_matches("serve")
        && let Some(path) = serve.get_one::<PathBuf>("config")
    {
        let text = std::fs::read_to_string(path).map_err(|error| OptionsError::Read(path.clone(), error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let file =
            parse_file(&text, folder).map_err(|mistakes| OptionsError::File(path.clone(), mistakes))?;
        if !is_given(serve, "urls") {
            comfyuis = file.comfyuis;
        }
        if !is_given(serve, "api_keys") {
            keys = file.keys;
        }
        let is_overridden = |option: &FileOption| is_set(serve, option) || is_set(&matches, option);
        args.extend(
            file.options.into_iter().filter(|option| !is_overridden(option)).flat_map(|option| option.args),
        );
    }
    let matches = Cli::command().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Command::Serve(serve) = &mut cli.command {
        serve.comfyuis.of_file = comfyuis;
        serve.keys_of_file = keys;
    }
    Ok(cli)
}

/// Returns whether the command line or the environment has this option.
fn is_set(matches: &ArgMatches, option: &FileOption) -> bool {
    is_given(matches, &option.id)
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let source = matches.try_contains_id(id).is_ok().then(|| matches.value_source(id));
    matches!(source.flatten(), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// An option of the file, as arguments.
#[derive(Debug, PartialEq, Eq)]
struct FileOption {
    id: String,
    args: Vec<OsString>,
}

/// What a file says.
#[derive(Debug, Default)]
struct File {
    options: Vec<FileOption>,
    comfyuis: Vec<ComfyUiTable>,
    keys: Vec<ApiKeyTable>,
}

/// A mistake in a table, with its place if it is not that of the whole table.
type TableMistake = (Option<Range<usize>>, String);

/// A key of a table, with its place and its values.
type Entry<'a> = (&'a str, Range<usize>, Result<Vec<String>, TableMistake>);

/// Reads a file that lies in this folder.
fn parse_file(text: &str, folder: &Path) -> Result<File, Vec<Mistake>> {
    let line = |range: Range<usize>| text.get(..range.start).unwrap_or(text).matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, line);
        vec![Mistake { line, message: error.message().to_owned() }]
    })?;
    let (mut file, mut mistakes) = (File::default(), Vec::new());
    for (key, value) in table.into_inner() {
        let name = key.get_ref().as_ref();
        for table in tables(name, value.get_ref()) {
            let read = match name {
                "comfyui" => comfyui(table.get_ref(), folder).map(|comfyui| file.comfyuis.push(comfyui)),
                _ => api_key(table.get_ref(), &file.keys).map(|key| file.keys.push(key)),
            };
            if let Err((range, message)) = read {
                mistakes.push(Mistake { line: line(range.unwrap_or(table.span())), message });
            }
        }
        if !tables(name, value.get_ref()).is_empty() {
            continue;
        }
        match option(name, &value, folder) {
            Ok(option) => file.options.push(option),
            Err(message) => mistakes.push(Mistake { line: line(key.span()), message }),
        }
    }
    // The table is sorted by key.
    mistakes.sort_by_key(|mistake| mistake.line);
    if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
}

/// Returns the values of `[[comfyui]]` or `[[api-key]]`; none if it is something else.
fn tables<'a, 'v>(name: &str, value: &'a DeValue<'v>) -> Vec<&'a Spanned<DeValue<'v>>> {
    let DeValue::Array(values) = value else { return Vec::new() };
    let are_tables = values.iter().any(|value| matches!(value.get_ref(), DeValue::Table(_)));
    if are_tables && matches!(name, "comfyui" | "api-key") { values.iter().collect() } else { Vec::new() }
}

/// Returns what a table of this name has.
fn entries<'a>(table: &str, value: &'a DeValue<'_>) -> Result<impl Iterator<Item = Entry<'a>>, TableMistake> {
    let DeValue::Table(entries) = value else {
        let message = format!("`{table}` has tables and other values; write a [[{table}]] for each");
        return Err((None, message));
    };
    Ok(entries.iter().map(|(key, value)| {
        let name = key.get_ref().as_ref();
        let values = values(name, value.get_ref()).map_err(|message| (Some(key.span()), message));
        (name, key.span(), values)
    }))
}

/// Reads an `[[api-key]]`. No message repeats the key.
fn api_key(value: &DeValue<'_>, before: &[ApiKeyTable]) -> Result<ApiKeyTable, TableMistake> {
    let mut api_key = ApiKeyTable::default();
    for (name, place, values) in entries("api-key", value)? {
        let mistake = |message: String| (Some(place.clone()), message);
        match (name, &values?[..]) {
            ("key", [key]) => api_key.key.clone_from(key),
            ("max-priority", [priority]) => {
                let priority = priority
                    .parse::<Priority>()
                    .map_err(|error| mistake(format!("`max-priority`: {error}")))?;
                api_key.max_priority = Some(priority);
            }
            ("key" | "max-priority", _) => return Err(mistake(format!("`{name}` is one value, not a list"))),
            _ => {
                let message =
                    format!("`{name}` is nothing that an [[api-key]] has: it has key and max-priority");
                return Err(mistake(message));
            }
        }
    }
    if api_key.key.is_empty() {
        return Err((None, "an [[api-key]] needs a `key`".to_owned()));
    }
    if before.iter().any(|other| other.key == api_key.key) {
        return Err((None, "this [[api-key]] has the key of one before it".to_owned()));
    }
    Ok(api_key)
}

/// Reads a `[[comfyui]]`.
fn comfyui(value: &DeValue<'_>, folder: &Path) -> Result<ComfyUiTable, TableMistake> {
    let mut comfyui = ComfyUiTable::default();
    for (name, place, values) in entries("comfyui", value)? {
        let mistake = |message: String| (Some(place.clone()), message);
        let mut values = values?;
        match name {
            "headers" => comfyui.headers = values,
            "tags" => comfyui.tags = values,
            _ if values.len() != 1 => return Err(mistake(format!("`{name}` is one value, not a list"))),
            "name" => comfyui.name = values.swap_remove(0),
            "url" => comfyui.url = values.swap_remove(0),
            "ca" => comfyui.ca = Some(folder.join(values.swap_remove(0))),
            "depth" => {
                let depth = values[0].parse().ok().filter(|depth| *depth > 0);
                comfyui.depth =
                    Some(depth.ok_or_else(|| mistake("`depth` is a number of jobs, at least 1".to_owned()))?);
            }
            "models" => {
                let models = values[0].parse().ok();
                comfyui.models =
                    Some(models.ok_or_else(|| mistake("`models` is a number of models".to_owned()))?);
            }
            _ => {
                return Err(mistake(format!(
                    "`{name}` is nothing that a [[comfyui]] has: it has name, url, headers, ca, tags, depth and models"
                )));
            }
        }
    }
    for (name, value) in [("name", &comfyui.name), ("url", &comfyui.url)] {
        if value.is_empty() {
            return Err((None, format!("a [[comfyui]] needs a `{name}`")));
        }
    }
    Ok(comfyui)
}

/// Checks an option by itself, so that an error is about its line.
fn option(name: &str, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<FileOption, String> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").ok_or("there is no command `serve`")?;
    let known = || {
        let options = serve.get_arguments().chain(command.get_arguments());
        options.filter(|arg| arg.get_long().is_some_and(|long| !NOT_IN_A_FILE.contains(&long)))
    };
    let Some(arg) = known().find(|arg| arg.get_long() == Some(name)) else {
        return Err(unknown(name, known().filter_map(|arg| arg.get_long())));
    };
    let mut args = Vec::new();
    for value in values(name, value.get_ref())? {
        let is_elsewhere = value.starts_with(':') || value.contains("://");
        let is_path = arg.get_value_hint() == ValueHint::AnyPath && !is_elsewhere;
        let value = if is_path { folder.join(value).into_os_string() } else { value.into() };
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            match value.to_str() {
                Some("true") => args.push(format!("--{name}").into()),
                Some("false") => {}
                _ => return Err(format!("`{name}` is true or false")),
            }
            continue;
        }
        let mut option = OsString::from(format!("--{name}="));
        option.push(value);
        args.push(option);
    }
    let alone = ["comfy-runner", "serve"].map(OsString::from).into_iter().chain(args.iter().cloned());
    Cli::command().try_get_matches_from(alone).map_err(|error| one_line(&error))?;
    Ok(FileOption { id: arg.get_id().to_string(), args })
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|option| (strsim::damerau_levenshtein(option, name), option)).min();
    match near.filter(|(distance, _)| *distance <= name.len() / 3) {
        Some((_, option)) => format!("`{name}` is no option of `serve`; did you mean `{option}`?"),
        None => format!("`{name}` is no option of `serve`; `comfy-runner serve --help` lists them"),
    }
}

/// Returns the values of an option: several of an array, else one.
fn values(name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    Ok(vec![match value {
        DeValue::Array(values) => {
            let values = values.iter().map(|value| match value.get_ref() {
                DeValue::Array(_) => Err(wrong_kind(name, "a list of lists")),
                value => values_of_one(name, value),
            });
            return values.collect();
        }
        value => values_of_one(name, value)?,
    }])
}

fn values_of_one(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(string) => Ok(string.to_string()),
        DeValue::Integer(integer) => Ok(integer.to_string()),
        DeValue::Float(float) => Ok(float.to_string()),
        DeValue::Boolean(boolean) => Ok(boolean.to_string()),
        DeValue::Datetime(_) => Err(wrong_kind(name, "a date")),
        DeValue::Table(_) => Err(wrong_kind(name, "a table")),
        DeValue::Array(_) => Err(wrong_kind(name, "a list of lists")),
    }
}

fn wrong_kind(name: &str, is: &str) -> String {
    format!("`{name}` is {is}; write a string, a number, true or false, or a list of these")
}

/// Returns the first sentence of clap's error, which names the option and the value.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<String> {
        let file = parse_file(text, Path::new("/etc/comfy")).unwrap();
        file.options
            .into_iter()
            .flat_map(|option| option.args)
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    fn mistakes_in(text: &str) -> Vec<(usize, String)> {
        let mistakes = parse_file(text, Path::new("/etc/comfy")).unwrap_err();
        mistakes.into_iter().map(|mistake| (mistake.line, mistake.message)).collect()
    }

    #[test]
    fn options_become_arguments_by_their_long_names() {
        let file = r#"
            workers = 3
            log = "info"
            lost-jobs = "retry"
            comfyui-header = ["A: 1", "B: 2"]
        "#;
        let expected = [
            "--comfyui-header=A: 1",
            "--comfyui-header=B: 2",
            "--log=info",
            "--lost-jobs=retry",
            "--workers=3",
        ];
        assert_eq!(args(file), expected);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        assert_eq!(
            args("workflows = 'w'\nstate-dir = '/var/lib/x'"),
            ["--state-dir=/var/lib/x", "--workflows=/etc/comfy/w"]
        );
        assert_eq!(args("state-dir = ':memory:'"), ["--state-dir=:memory:"]);
        assert_eq!(args("files = 'f'\nkeep-outputs = true"), ["--files=/etc/comfy/f", "--keep-outputs"]);
    }

    #[test]
    fn each_mistake_names_its_line() {
        let found = mistakes_in(
            "listen = '127.0.0.1'\nworkers = 0\n\nlost_jobs = 'retry'\nconfig = 'x'\n[records]\nkeep-days = 3\n",
        );
        let expected = [
            (1, "write ADDRESS:PORT"),
            (2, "0 is not in 1..=512"),
            (4, "did you mean `lost-jobs`?"),
            (5, "`config` is no option of `serve`"),
            (6, "`records` is no option of `serve`"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, message), (expected_line, part)) in found.iter().zip(expected) {
            assert!(*line == expected_line && message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn each_comfyui_is_a_table() {
        let file = parse_file(
            "workers = 1\n[[comfyui]]\nname = 'a'\nurl = 'http://a'\ntags = ['x']\ndepth = 3\nca = 'ca.pem'\n\
             [[comfyui]]\nname = 'b'\nurl = 'http://b'\nheaders = ['A: 1', 'B: 2']\n",
            Path::new("/etc/comfy"),
        )
        .unwrap();
        assert_eq!(file.options.len(), 1);
        let [a, b] = &file.comfyuis[..] else { panic!("{file:?}") };
        assert_eq!((&*a.name, &*a.url, a.depth), ("a", "http://a", Some(3)));
        assert_eq!(
            (&a.tags[..], a.ca.as_deref()),
            (&["x".to_owned()][..], Some(Path::new("/etc/comfy/ca.pem")))
        );
        assert_eq!((&*b.name, b.headers.len(), b.depth), ("b", 2, None));
    }

    #[test]
    fn a_mistake_in_the_table_of_a_comfyui_names_its_line() {
        let found = mistakes_in(
            "[[comfyui]]\nname = 'a'\nurl = 'http://a'\ndepth = 0\n[[comfyui]]\nname = 'b'\n[[comfyui]]\nurl = 'x'\nuri = 'y'\n",
        );
        let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 5, 9], "{found:?}");
        assert!(found[0].1.contains("at least 1") && found[1].1.contains("needs a `url`"), "{found:?}");
        assert!(found[2].1.contains("`uri`"), "{found:?}");
    }

    #[test]
    fn a_key_can_have_a_limit_of_its_own() {
        let text = "api-key = ['a', 'b']\n";
        assert_eq!(args(text), ["--api-key=a", "--api-key=b"]);
        let text = "[[api-key]]\nkey = 'a'\nmax-priority = -3\n[[api-key]]\nkey = 'b'\n";
        let keys = parse_file(text, Path::new("")).unwrap().keys;
        let keys: Vec<_> =
            keys.iter().map(|key| (&*key.key, key.max_priority.map(|max| max.get()))).collect();
        assert_eq!(keys, [("a", Some(-3)), ("b", None)]);
    }

    #[test]
    fn a_mistake_in_the_table_of_a_key_names_its_line_and_not_the_key() {
        let found = mistakes_in(
            "[[api-key]]\nkey = 'SECRET'\nmax-priority = 11\n[[api-key]]\nmax-priority = 1\n[[api-key]]\nkey = 'SECRET'\nname = 'x'\n",
        );
        let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 8], "{found:?}");
        assert!(found[0].1.contains("from -10 to 10") && found[1].1.contains("needs a `key`"), "{found:?}");
        assert!(found[2].1.contains("it has key and max-priority"), "{found:?}");
        assert!(found.iter().all(|(_, message)| !message.contains("SECRET")), "{found:?}");
        let twice = mistakes_in("[[api-key]]\nkey = 'SECRET'\n[[api-key]]\nkey = 'SECRET'\n");
        assert_eq!(twice, [(3, "this [[api-key]] has the key of one before it".to_owned())]);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_an_error() {
        for wrong in ["2026-01-01", "{a = 1}", "[[1]]"] {
            let found = mistakes_in(&format!("workers = {wrong}"));
            assert!(found[0].1.contains("write a string, a number"), "{found:?}");
        }
        assert_eq!(mistakes_in("workers = \n")[0].0, 1);
        assert!(mistakes_in("workers = 1\nworkers = 2")[0].1.contains("duplicate key"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_options_or_mistakes(text in "[a-z\\-]{1,9} = [0-9a-z'\"\\[\\], {}=\n-]{0,20}") {
            // It does not panic.
            let _ = parse_file(&text, Path::new(""));
        }
    }
}
