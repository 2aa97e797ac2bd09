//! What the binary carries for projects: examples, SDKs and the contract. `build.rs` packs it.

/// A file: where it is, and what it holds.
pub(super) type File = (&'static str, &'static [u8]);

static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// The files below a folder, by their paths from there.
pub(super) fn below(folder: &str) -> impl Iterator<Item = File> {
    let prefix = format!("{folder}/");
    FILES.iter().filter_map(move |(path, bytes)| Some((path.strip_prefix(prefix.as_str())?, *bytes)))
}

/// The crates that a project in Rust is built with.
pub(super) fn crates() -> impl Iterator<Item = &'static str> {
    let lock = below("examples/rust").find(|(path, _)| path.ends_with("/Cargo.lock"));
    let text = lock.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    text.split("[[package]]").filter_map(|package| {
        let name = package.lines().find_map(|line| line.strip_prefix("name = \""))?.trim_end_matches('"');
        // Of the adaptors that are built beside them, a project sees none but the SDK.
        (package.contains("\nsource = ") || name.starts_with("airlock-")).then_some(name)
    })
}
