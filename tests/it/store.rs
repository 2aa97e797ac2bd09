//! The store, on each of its databases: documents, the audit, blobs, keys, and who sees what when.

use std::collections::HashSet;

use airlock::store::{Change, Expect, KeyOrder, NewAudit, NewBatch, Place, Reservation, Store, StoreError};
use airlock_tests::{Database, on_both_databases, within};

on_both_databases!(
    a_document_is_made_changed_and_removed,
    a_change_that_does_not_fit_undoes_all_of_its_write,
    writers_at_once_lose_no_change,
    documents_are_ordered_by_their_bytes_and_read_by_the_page,
    the_audit_is_read_newest_first,
    blobs_are_kept_until_nobody_uses_them,
    every_write_is_seen_by_others_and_nothing_else_is,
    names_of_active_keys_are_a_tenants_own,
    many_starts_at_once_make_one_schema,
    many_reservations_at_once_keep_to_the_limit,
);

fn put(name: &str, body: &str, expect: Expect) -> Change {
    put_in("t", "adaptor", name, body, expect)
}

fn put_in(tenant: &str, kind: &str, name: &str, body: &str, expect: Expect) -> Change {
    let [tenant, kind, name, body] = [tenant, kind, name, body].map(str::to_owned);
    Change::Put { tenant, kind, name, body, expect }
}

fn delete(name: &str, expect: Expect) -> Change {
    let [tenant, kind, name] = ["t", "adaptor", name].map(str::to_owned);
    Change::Delete { tenant, kind, name, expect }
}

fn audit(tenant: &str, action: &str) -> NewAudit {
    let [tenant, actor, action] = [tenant, "key_1", action].map(str::to_owned);
    NewAudit { tenant, actor, action, kind: "adaptor".into(), name: "a".into(), detail: "{}".into() }
}

async fn found(store: &Store, name: &str) -> Option<(String, i64)> {
    let document = store.document("t", "adaptor", name).await.unwrap()?;
    Some((document.body, document.revision))
}

/// What was found where something else was expected.
fn conflict(error: StoreError) -> (String, Option<i64>) {
    match error {
        StoreError::Conflict { name, found, .. } => (name, found),
        other => panic!("{other}"),
    }
}

async fn a_document_is_made_changed_and_removed(database: Database) {
    let store = database.open().await;
    let apply = async |change: Change| store.apply(&[change], &audit("t", "x")).await;
    assert_eq!(found(&store, "a").await, None);
    let first = apply(put("a", "{\"é\":1}", Expect::Absent)).await.unwrap();
    assert_eq!(found(&store, "a").await, Some(("{\"é\":1}".into(), first)));
    let made = store.document("t", "adaptor", "a").await.unwrap().unwrap();

    assert_eq!(conflict(apply(put("a", "2", Expect::Absent)).await.unwrap_err()), ("a".into(), Some(first)));
    let second = apply(put("a", "2", Expect::Revision(first))).await.unwrap();
    assert!(second > first);
    for stale in [put("a", "3", Expect::Revision(first)), delete("a", Expect::Revision(first))] {
        assert_eq!(conflict(apply(stale).await.unwrap_err()), ("a".into(), Some(second)));
    }
    let changed = store.document("t", "adaptor", "a").await.unwrap().unwrap();
    assert_eq!((changed.body.as_str(), changed.revision, changed.created_at), ("2", second, made.created_at));
    let third = apply(put("a", "3", Expect::Any)).await.unwrap();
    assert_eq!(found(&store, "a").await, Some(("3".into(), third)));

    // The same name elsewhere is another document.
    for (tenant, kind) in [("u", "adaptor"), ("t", "endpoint")] {
        assert!(store.document(tenant, kind, "a").await.unwrap().is_none());
        apply(put_in(tenant, kind, "a", "x", Expect::Absent)).await.unwrap();
    }
    apply(delete("a", Expect::Revision(third))).await.unwrap();
    assert_eq!(found(&store, "a").await, None);
    assert_eq!(conflict(apply(delete("a", Expect::Revision(third))).await.unwrap_err()), ("a".into(), None));
    apply(delete("a", Expect::Any)).await.unwrap();
    assert_eq!(store.documents(None, None).await.unwrap().len(), 2);
    store.close().await;
}

async fn a_change_that_does_not_fit_undoes_all_of_its_write(database: Database) {
    let store = database.open().await;
    let before = store.apply(&[put("b", "1", Expect::Any)], &audit("t", "first")).await.unwrap();
    let changes = [put("a", "1", Expect::Any), delete("b", Expect::Any), put("c", "1", Expect::Revision(7))];
    let error = store.apply(&changes, &audit("t", "second")).await.unwrap_err();
    assert_eq!(conflict(error), ("c".into(), None));
    assert_eq!(found(&store, "a").await, None);
    assert_eq!(found(&store, "b").await, Some(("1".into(), before)));
    assert_eq!(store.audit_page(None, None, 10).await.unwrap().len(), 1);
    // Later changes of a write see earlier ones, and all get one revision.
    let changes = [delete("b", Expect::Any), put("b", "2", Expect::Absent), put("c", "1", Expect::Absent)];
    let after = store.apply(&changes, &audit("t", "third")).await.unwrap();
    assert_eq!(found(&store, "b").await, Some(("2".into(), after)));
    assert_eq!(found(&store, "c").await, Some(("1".into(), after)));
}

async fn writers_at_once_lose_no_change(database: Database) {
    let store = database.open().await;
    store.apply(&[put("n", "0", Expect::Absent)], &audit("t", "x")).await.unwrap();
    let writers = (0..4).map(|_| {
        let place = database.place().clone();
        tokio::spawn(async move {
            let store = Store::open(place).await.unwrap();
            for _ in 0..10 {
                loop {
                    let (body, revision) = found(&store, "n").await.unwrap();
                    let next = (body.parse::<u32>().unwrap() + 1).to_string();
                    let change = put("n", &next, Expect::Revision(revision));
                    match store.apply(&[change], &audit("t", "x")).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            store.close().await;
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(found(&store, "n").await.unwrap().0, "40");
    let audit = store.audit_page(None, None, 100).await.unwrap();
    assert_eq!(audit.iter().map(|entry| entry.id).collect::<HashSet<_>>().len(), 41);
}

async fn documents_are_ordered_by_their_bytes_and_read_by_the_page(database: Database) {
    let store = database.open().await;
    let names = ["B", "a", "a-b", "a.c", "ab", "aé", "zz", "ß"];
    let mut changes: Vec<Change> = names.iter().rev().map(|name| put(name, "{}", Expect::Absent)).collect();
    changes.push(put_in("s", "member", "x", "{}", Expect::Absent));
    changes.push(put_in("t", "member", "y", "{}", Expect::Absent));
    store.apply(&changes, &audit("t", "x")).await.unwrap();

    let mut read = Vec::new();
    loop {
        let after = read.last().cloned();
        let page = store.page("t", "adaptor", after.as_deref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        read.extend(page.into_iter().map(|document| document.name));
    }
    assert_eq!(read, names);
    let count = async |tenant, kind| store.documents(tenant, kind).await.unwrap().len();
    assert_eq!(count(None, None).await, 10);
    assert_eq!(count(Some("t"), None).await, 9);
    assert_eq!(count(None, Some("member")).await, 2);
    assert_eq!(count(Some("s"), Some("adaptor")).await, 0);
    let all = store.documents(None, None).await.unwrap();
    assert_eq!((all[0].tenant.as_str(), all[9].kind.as_str()), ("s", "member"));
}

async fn the_audit_is_read_newest_first(database: Database) {
    let store = database.open().await;
    for n in 0..6 {
        let tenant = if n % 2 == 0 { "t" } else { "u" };
        store.apply(&[], &audit(tenant, &n.to_string())).await.unwrap();
    }
    let actions = async |tenant, before, limit| {
        let page = store.audit_page(tenant, before, limit).await.unwrap();
        let last = page.last().map(|entry| entry.id);
        (page.into_iter().map(|entry| entry.action).collect::<Vec<_>>(), last)
    };
    let (newest, last) = actions(None, None, 2).await;
    assert_eq!(newest, ["5", "4"]);
    assert_eq!(actions(None, last, 2).await.0, ["3", "2"]);
    let (newest, last) = actions(Some("t"), None, 2).await;
    assert_eq!(newest, ["4", "2"]);
    assert_eq!(actions(Some("t"), last, 10).await.0, ["0"]);
    let entry = store.audit_page(None, None, 1).await.unwrap().remove(0);
    assert_eq!((entry.tenant.as_str(), entry.actor.as_str(), entry.detail.as_str()), ("u", "key_1", "{}"));
}

async fn blobs_are_kept_until_nobody_uses_them(database: Database) {
    let store = database.open().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (digest, bytes) in [("one", large.as_slice()), ("two", b""), ("three", b"\0")] {
        store.put_blob(digest, bytes).await.unwrap();
        store.put_blob(digest, bytes).await.unwrap();
        assert_eq!(store.blob(digest).await.unwrap().as_deref(), Some(bytes));
    }
    assert_eq!(store.blob("four").await.unwrap(), None);
    let used = ["two".to_owned(), "four".to_owned()];
    assert_eq!(store.delete_unused_blobs(&used, 0).await.unwrap(), 0, "they are too new");
    assert_eq!(store.delete_unused_blobs(&used, i64::MAX).await.unwrap(), 2);
    assert!(store.blob("two").await.unwrap().is_some());
    assert!(store.blob("one").await.unwrap().is_none());
}

async fn every_write_is_seen_by_others_and_nothing_else_is(database: Database) {
    let store = database.open().await;
    let other = database.open().await;
    let mut watch = store.watch().await.unwrap();
    assert!(!watch.changed().await.unwrap());
    other.apply(&[put("a", "1", Expect::Any)], &audit("t", "x")).await.unwrap();
    assert!(watch.changed().await.unwrap());
    assert!(!watch.changed().await.unwrap());
    other.create_key(&KeyOrder::named("k")).await.unwrap();
    assert!(watch.changed().await.unwrap());
    other.revoke_key("default", "k", "key_9").await.unwrap();
    assert!(watch.changed().await.unwrap());
    other.apply(&[put("a", "1", Expect::Absent)], &audit("t", "x")).await.unwrap_err();
    other.put_blob("d", b"x").await.unwrap();
    other.documents(None, None).await.unwrap();
    assert!(!watch.changed().await.unwrap());
    let audit = store.audit_page(Some("default"), None, 10).await.unwrap();
    let told: Vec<_> = audit.iter().map(|e| (&*e.actor, &*e.action, &*e.kind, &*e.name)).collect();
    assert_eq!(told, [("key_9", "revoke", "key", "k"), ("command line", "create", "key", "k")]);
}

async fn names_of_active_keys_are_a_tenants_own(database: Database) {
    let store = database.open().await;
    for name in ["a", "b"] {
        store.apply(&[put_in(name, "tenant", name, "{}", Expect::Absent)], &audit(name, "x")).await.unwrap();
    }
    let named = |tenant: &str| KeyOrder { tenant: tenant.to_owned(), ..KeyOrder::named("k") };
    store.create_key(&named("a")).await.unwrap();
    store.create_key(&named("b")).await.unwrap();
    let error = store.create_key(&named("a")).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::NameTaken(_)), "{error}");
    for key in store.keys().await.unwrap() {
        let elsewhere = if key.tenant == "a" { "b" } else { "a" };
        let error = store.revoke_key(elsewhere, &key.id, "x").await.unwrap_err();
        assert!(matches!(error, StoreError::UnknownKey { .. }), "{error}");
    }
    store.revoke_key("a", "k", "x").await.unwrap();
    let active: Vec<_> = store.keys().await.unwrap().into_iter().filter(|k| k.revoked_at.is_none()).collect();
    assert_eq!(active.iter().map(|key| &*key.tenant).collect::<Vec<_>>(), ["b"]);

    // One that has expired gives its name free.
    let ended = KeyOrder { expires_at: Some(1), ..named("a") };
    store.create_key(&ended).await.unwrap();
    store.create_key(&named("a")).await.unwrap();
    let revoked: Vec<_> = store.keys().await.unwrap().into_iter().filter_map(|key| key.revoked_at).collect();
    assert_eq!(revoked.len(), 2);
    assert!(revoked.contains(&1));
}

async fn many_starts_at_once_make_one_schema(database: Database) {
    // A server has one fresh database, a folder room for many.
    let places: Vec<Place> = match database.place() {
        Place::Folder(folder) => (0..20).map(|n| Place::Folder(folder.join(n.to_string()))).collect(),
        server @ Place::Server(_) => vec![server.clone()],
    };
    for place in places {
        let starts = (0..6).map(|_| {
            let place = place.clone();
            tokio::spawn(async move { Store::open(place).await.map_err(|error| error.to_string()) })
        });
        for start in starts.collect::<Vec<_>>() {
            let store = within(start).await.unwrap().unwrap();
            assert!(store.documents(None, None).await.unwrap().is_empty());
        }
    }
}

async fn many_reservations_at_once_keep_to_the_limit(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    for owner in 0..20 {
        let reserving = (0..8).map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { other.clone() };
            let text = |name: &str| format!("{name}-{owner}-{n}");
            let batch = NewBatch {
                tenant: "default".into(),
                id: text("id"),
                owner: owner.to_string(),
                endpoint: "c-api-m".into(),
                cluster: "c".into(),
                framework: "api".into(),
                model: "m".into(),
                input_file: text("file"),
                output_folder_path: None,
            };
            tokio::spawn(async move { store.reserve_batch(&batch, 2).await.unwrap() })
        });
        let mut made = 0;
        for reserving in reserving.collect::<Vec<_>>() {
            made += usize::from(within(reserving).await.unwrap() == Reservation::Made);
        }
        assert_eq!(made, 2, "of owner {owner}");
    }
}
