//! Numbered writes to a store, and what must hold of them whenever the writer ended.

use airlock::store::{Change, Expect, NewAudit, Store, StoreError};

const NAMES: [&str; 2] = ["left", "right"];

/// More than a page of the database, so that half of it would be seen.
fn body(number: u64) -> String {
    format!("{{\"number\":{number},\"text\":\"{}\"}}", number.to_string().repeat(2000))
}

/// One write: two documents and an audit entry, all with this number.
pub async fn write(store: &Store, number: u64) -> Result<i64, StoreError> {
    let put = |name: &str| Change::Put {
        tenant: "t".into(),
        kind: "adaptor".into(),
        name: name.into(),
        body: body(number),
        expect: Expect::Any,
    };
    let audit = NewAudit {
        tenant: "t".into(),
        actor: "writer".into(),
        action: "put".into(),
        kind: "adaptor".into(),
        name: "left, right".into(),
        detail: number.to_string(),
    };
    store.apply(&NAMES.map(put), &audit).await
}

/// The number of the last write, after checks that there is nothing half-done.
pub async fn last(store: &Store) -> u64 {
    let entries = store.audit_page(Some("t"), None, 50).await.unwrap();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.detail.parse().unwrap()).collect();
    let last = numbers.first().copied().unwrap_or(0);
    assert!(numbers.windows(2).all(|two| two[0] == two[1] + 1), "one is missing: {numbers:?}");
    for name in NAMES {
        match store.document("t", "adaptor", name).await.unwrap() {
            None => assert_eq!(last, 0, "{name} is missing"),
            Some(document) => {
                assert!(document.body == body(last), "{name} is not of write {last}");
                assert_eq!(document.revision, entries[0].id, "{name}");
            }
        }
    }
    last
}
