//! No guest without a test.

use std::{fs, path::Path};

#[test]
fn every_guest_is_used_by_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: String = fs::read_dir(here.join("it"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut guests = 0;
    for entry in fs::read_dir(here.join("guests/guests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("\"{name}\"")), "no test names the guest {name}");
        guests += 1;
    }
    assert!(guests > 10, "{guests} guests: is this still their folder?");
}
