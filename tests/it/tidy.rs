//! The tidy check: what the compiler and clippy do not enforce, over every file that git knows or would add.

mod documents;
mod names;
mod rooms;
mod rust;
mod shape;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A text file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    #[cfg(test)]
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn has_extension(&self, extensions: &[&str]) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').is_some_and(|(_, found)| extensions.contains(&found))
    }

    fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    /// Taken over from others as it is.
    fn is_foreign(&self) -> bool {
        self.path.starts_with("wit/deps/")
    }

    fn finding(&self, line: usize, rule: impl Into<String>, remedy: &'static str) -> Finding {
        Finding { place: format!("{}:{line}", self.path), rule: rule.into(), remedy }
    }

    /// A finding for each line of `text`, a view of this file, that `is_bad` says something about.
    fn lines_where(
        &self,
        text: &str,
        remedy: &'static str,
        is_bad: impl Fn(&str) -> Option<String>,
    ) -> Vec<Finding> {
        let bad = |(at, line)| Some(self.finding(at + 1, is_bad(line)?, remedy));
        text.lines().enumerate().filter_map(bad).collect()
    }
}

/// A rule that is broken.
#[derive(Debug)]
struct Finding {
    place: String,
    rule: String,
    remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    remedy: {}", self.place, self.rule, self.remedy)
    }
}

/// Rules that look at one file at a time.
const RULES: &[fn(&File) -> Vec<Finding>] = &[
    names::only_the_sandbox_names_the_engine,
    names::only_config_reads_the_environment,
    names::no_global_state,
    names::routes_are_described,
    names::nothing_is_left_to_do,
    names::no_places_of_ours,
    names::no_registries_of_ours,
    rooms::one_way,
    shape::files_are_short,
    shape::functions_are_short,
    shape::files_say_what_they_are,
    shape::white_space,
];

#[test]
fn the_tree_is_tidy() {
    let files = files();
    assert!(files.len() > 50, "only {} files were found", files.len());
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| files.iter().flat_map(rule)).collect();
    findings.extend(documents::links_lead_somewhere(&files));
    findings.extend(documents::every_document_is_linked(&files));
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{} finding(s):\n{}", findings.len(), lines.join("\n"));
}

/// Every text file that is tracked, or would be by `git add .`.
fn files() -> Vec<File> {
    let mut paths = listed_by_git().unwrap_or_else(|| walked(root()));
    paths.sort();
    let read = |path: String| Some(File { text: std::fs::read_to_string(root().join(&path)).ok()?, path });
    paths.into_iter().filter_map(read).collect()
}

fn listed_by_git() -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let done = git.output().ok().filter(|done| done.status.success())?;
    let text = String::from_utf8(done.stdout).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

/// Without git: everything but what is built or installed.
fn walked(root: &Path) -> Vec<String> {
    const SKIPPED: [&str; 4] = [".git", "target", "node_modules", "__pycache__"];
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            if !entry.path().is_dir() {
                paths.push(path.to_str().unwrap().to_owned());
            } else if !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    paths
}

/// With git or without, the same sources are looked at.
#[test]
fn the_walk_finds_what_git_lists() {
    let Some(listed) = listed_by_git() else { return };
    let walked = walked(root());
    for path in listed.iter().filter(|path| path.ends_with(".rs") && root().join(path).is_file()) {
        assert!(walked.contains(path), "{path}");
    }
}

#[cfg(test)]
fn assert_bites(findings: &[Finding], place: &str, says: &str) {
    let text: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let fits = findings.iter().any(|finding| finding.place == place && finding.rule.contains(says));
    assert!(fits, "no finding at {place} that says {says:?} among:\n{}", text.join("\n"));
}
