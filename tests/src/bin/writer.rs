//! Writes to a store without end, and says the number of each write once it is acknowledged. For
//! `it/crash_safety.rs`, which ends it at some moment and looks at what is there.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program of the tests, and its output")]

use std::io::Write as _;

use airlock::store::{Place, Store};
use airlock_tests::crash;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = std::env::args().nth(1).unwrap();
    let place = match place.starts_with("postgres://") {
        true => Place::Server(place.parse().unwrap()),
        false => Place::Folder(place.into()),
    };
    let store = Store::open(place).await.unwrap();
    let mut number = crash::last(&store).await;
    loop {
        number += 1;
        crash::write(&store, number).await.unwrap();
        println!("{number}");
        std::io::stdout().flush().unwrap();
    }
}
