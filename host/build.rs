//! Packs what `airlock adaptor new` writes: the examples of adaptors, the SDKs and the contract. Whoever writes an
//! adaptor has no more than the binary.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// What is packed: under which name, and where it is below `adaptors/`.
const SOURCES: [(&str, &str); 4] =
    [("examples", "examples"), ("sdk/rust", "sdk"), ("sdk/python", "python"), ("sdk/js", "js")];

/// What builds leave behind, what only the repository's own tests read, and the SDK where an example links to it.
const LEFT_OUT: [&str; 9] = [
    "target",
    "node_modules",
    ".venv",
    "__pycache__",
    "dist",
    "build",
    ".pytest_cache",
    "golden",
    "airlock-sdk",
];

/// Hidden files that belong to a project.
const HIDDEN: [&str; 3] = [".gitignore", ".npmrc", ".python-version"];

/// Where the SDK is in a project.
const SDK: &str = "airlock-sdk";

#[expect(clippy::disallowed_methods, reason = "a build script is told by its environment alone")]
fn main() -> Done {
    let adaptors = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../adaptors").canonicalize()?;
    let workspace = Workspace::read(&adaptors)?;
    let mut packed = Packed { folder: PathBuf::from(env::var("OUT_DIR")?), table: String::new(), made: 0 };
    for (name, source) in SOURCES {
        let folder = adaptors.join(source);
        if folder.is_dir() {
            println!("cargo::rerun-if-changed={}", folder.display());
            packed.add_folder(&folder, name, &workspace)?;
        }
    }
    for file in ["../wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", adaptors.join(file).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    fs::write(packed.folder.join("packed.rs"), format!("[\n{}]\n", packed.table))?;
    Ok(())
}

/// The table of packed files, as it grows.
struct Packed {
    folder: PathBuf,
    table: String,
    made: usize,
}

impl Packed {
    /// Everything in a folder, in a fixed order. Links are followed.
    fn add_folder(&mut self, folder: &Path, name: &str, workspace: &Workspace) -> Done {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, file) = (entry.path(), entry.file_name());
            let file = file.to_str().ok_or("a file's name is no text")?;
            let is_hidden = file.starts_with('.') && !HIDDEN.contains(&file);
            if LEFT_OUT.contains(&file) || is_hidden || file.ends_with(".egg-info") {
                continue;
            }
            let name = format!("{name}/{file}");
            if path.is_dir() {
                self.add_folder(&path, &name, workspace)?;
            } else if file == "Cargo.toml" {
                self.add_crate(&path, &name, workspace)?;
            } else {
                self.add_file(&path, &name)?;
            }
        }
        Ok(())
    }

    /// A crate's manifest, as it is outside of the workspace.
    fn add_crate(&mut self, manifest: &Path, name: &str, workspace: &Workspace) -> Done {
        let text = fs::read_to_string(manifest)?;
        if name.starts_with("examples/") {
            self.add_made(name, &workspace.project(&text)?)?;
            let lock = workspace.folder.join("Cargo.lock");
            return self.add_file(&lock, &name.replace("Cargo.toml", "Cargo.lock"));
        }
        // From the project, the SDK's crates are below `airlock-sdk`.
        let depth = name.matches('/').count() - 1;
        let manifest = workspace.alone(&text, &"../".repeat(depth))?;
        self.add_made(name, &manifest.to_string())
    }

    fn add_made(&mut self, name: &str, text: &str) -> Done {
        self.made += 1;
        let file = self.folder.join(format!("made-{}", self.made));
        fs::write(&file, text)?;
        self.add_file(&file, name)
    }

    fn add_file(&mut self, file: &Path, name: &str) -> Done {
        writeln!(self.table, "    ({name:?}, include_bytes!({:?})),", file.to_str().ok_or("no text")?)?;
        Ok(())
    }
}

/// The workspace of the adaptors, which the examples are members of, and projects are not.
struct Workspace {
    folder: PathBuf,
    manifest: DocumentMut,
}

impl Workspace {
    fn read(folder: &Path) -> Done<Self> {
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// An example's manifest as that of a project: a workspace of its own, with our profiles.
    fn project(&self, manifest: &str) -> Done<String> {
        let mut manifest = self.alone(manifest, "")?;
        if let Some(package) = manifest.get_mut("package").and_then(Item::as_table_mut) {
            // Under what licence it stands is its author's choice.
            package.remove("license");
        }
        let profiles = self.manifest.get("profile").ok_or("the workspace has no profiles")?;
        manifest.insert("workspace", Item::Table(Table::new()));
        manifest.insert("profile", profiles.clone());
        Ok(manifest.to_string())
    }

    /// A manifest with what it takes from the workspace written out, as `cargo package` does. `up` leads to the
    /// project's folder.
    fn alone(&self, manifest: &str, up: &str) -> Done<DocumentMut> {
        let mut manifest: DocumentMut = manifest.parse()?;
        manifest.remove("lints");
        for section in ["package", "dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get_mut(section).and_then(Item::as_table_like_mut) else { continue };
            let shared = if section == "package" { "package" } else { "dependencies" };
            let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                let Some(item) = table.get_mut(&name) else { continue };
                if is_inherited(item) {
                    *item = self.shared(shared, &name)?.clone();
                }
                if let Some(dependency) = item.as_inline_table_mut() {
                    lead_to_sdk(dependency, up);
                }
            }
        }
        Ok(manifest)
    }

    fn shared(&self, table: &str, name: &str) -> Done<&Item> {
        let found = self.manifest.get("workspace").and_then(|w| w.get(table)).and_then(|t| t.get(name));
        Ok(found.ok_or_else(|| format!("adaptors/Cargo.toml: [workspace.{table}] has no `{name}`"))?)
    }
}

fn is_inherited(item: &Item) -> bool {
    let inherits = |table: &dyn TableLike| table.get("workspace").and_then(Item::as_bool) == Some(true);
    item.as_table_like().is_some_and(inherits)
}

/// A path below `adaptors/sdk` is one below the project's `airlock-sdk`.
fn lead_to_sdk(dependency: &mut InlineTable, up: &str) {
    let path = dependency.get("path").and_then(Value::as_str).and_then(|path| path.strip_prefix("sdk"));
    if let Some(rest) = path.map(|rest| format!("{up}{SDK}{rest}")) {
        dependency.insert("path", rest.into());
    }
}
