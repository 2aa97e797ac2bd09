//! Components whose instances take long to make, as Python's do.

use std::path::{Path, PathBuf};

/// How many places of a table are filled one by one, because where they begin is known late.
const PLACES: usize = 90_000;

/// A copy of a component with a table beside it that is filled, element by element, whenever an instance is made.
pub fn heavy(component: &Path, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(component).unwrap();
    let elements = "$f ".repeat(PLACES);
    let part = format!(
        r#"(component
            (core module $table
                (table (export "table") {PLACES} funcref)
                (global (export "begin") i32 (i32.const 0)))
            (core module $filler
                (import "a" "table" (table {PLACES} funcref))
                (import "a" "begin" (global $begin i32))
                (func $f)
                (elem (offset (global.get $begin)) func {elements}))
            (core instance $a (instantiate $table))
            (core instance (instantiate $filler (with "a" (instance $a)))))"#
    );
    let part = wat::parse_str(part).unwrap();
    let before = components(&bytes);
    section(&mut bytes, COMPONENT, &part);
    // One instance of it, with no arguments.
    let mut instance = vec![1, 0];
    leb128(&mut instance, before);
    instance.push(0);
    section(&mut bytes, INSTANCE, &instance);
    let file = folder.join(format!("heavy-{}", component.file_name().unwrap().display()));
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Sections of a component's binary form.
const COMPONENT: u8 = 4;
const INSTANCE: u8 = 5;

/// How many components a component defines.
fn components(bytes: &[u8]) -> usize {
    let (mut at, mut found) = (8, 0);
    while at < bytes.len() {
        found += usize::from(bytes[at] == COMPONENT);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + size;
    }
    found
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    leb128(bytes, content.len());
    bytes.extend_from_slice(content);
}

fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}
