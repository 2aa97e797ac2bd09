//! Documents are found from the README, and their links lead somewhere.

use std::collections::HashSet;

use super::{File, Finding, root};

/// A link to a file that is not there.
pub(super) fn links_lead_somewhere(files: &[File]) -> Vec<Finding> {
    links(files)
        .into_iter()
        .filter(|(_, _, target)| !root().join(target).exists())
        .map(|(file, line, target)| {
            file.finding(
                line,
                format!("the link to {target} leads nowhere"),
                "correct its path, or take it out",
            )
        })
        .collect()
}

/// A document that no document names is not found by anybody.
pub(super) fn every_document_is_linked(files: &[File]) -> Vec<Finding> {
    let linked: HashSet<String> = links(files)
        .into_iter()
        .filter(|(file, _, target)| file.path != *target)
        .map(|(_, _, target)| target)
        .collect();
    files
        .iter()
        .filter(|file| file.path.starts_with("docs/") && !linked.contains(&file.path))
        .map(|file| {
            file.finding(1, "no document links to this one", "link it from README.md or docs/architecture.md")
        })
        .collect()
}

/// Relative links of documents: the file, the line, and the target from the root.
fn links(files: &[File]) -> Vec<(&File, usize, String)> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.has_extension(&["md"])) {
        for (at, line) in file.text.lines().enumerate() {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
            let relative = targets.filter(|target| !target.is_empty() && !target.contains(':'));
            found.extend(relative.map(|target| (file, at + 1, resolve(&file.path, target))));
        }
    }
    found
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{super::assert_bites, *};

    #[test]
    fn dead_links_and_lonely_documents_are_found() {
        let files = [
            File::new("README.md", "x\n[a](docs/a.md#part), [web](https://example.org), [up](#up)\n"),
            File::new("docs/a.md", "[c](decisions/c.md) and [none](../docs/none.md)\n"),
            File::new("docs/decisions/c.md", "[manifest](../../Cargo.toml)\n"),
            File::new("docs/lonely.md", "[myself](lonely.md)\n"),
        ];
        let lonely = every_document_is_linked(&files);
        assert_bites(&lonely, "docs/lonely.md:1", "no document links");
        assert_eq!(lonely.len(), 1);
        let dead = links_lead_somewhere(&files);
        assert_bites(&dead, "docs/a.md:1", "docs/none.md leads nowhere");
        assert!(!dead.iter().any(|finding| finding.rule.contains("Cargo.toml")));
    }
}
