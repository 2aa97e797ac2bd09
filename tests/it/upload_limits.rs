//! Uploads that never end, come by the dozen, come slowly or break off: what they cost is bounded.

use std::{convert::Infallible, path::Path};

use airlock::auth::Role;
use airlock_tests::{Person, TestGateway, error, eventually, feed, until, within};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PATH: &str = "/tenants/t/adaptors/mine/versions";

/// A gateway that takes components of at most 1 MiB.
async fn gateway() -> TestGateway {
    let gateway = TestGateway::builder().settings(|s| s.compile.max_adaptor_mib = 1).start().await;
    for tenant in ["t", "u"] {
        gateway.tenant(tenant).await;
    }
    gateway
}

/// A body that a test feeds.
fn body(stream: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream.map(Ok::<_, Infallible>))
}

fn pushed(
    person: &Person<'_>,
    path: &str,
    body: reqwest::Body,
) -> tokio::task::JoinHandle<reqwest::Response> {
    let request = person.request("POST", path).body(body).send();
    tokio::spawn(async move { within(request).await.unwrap() })
}

/// Files without a name below a folder that this process has open.
fn open_files(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    targets.filter(|file| file.starts_with(&folder) && file.to_string_lossy().ends_with(" (deleted)")).count()
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with("airlock.sqlite3"));
    names.sort();
    names
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit_and_its_client_reads_why() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    // Three times the limit and no end: a client that still wrote might break off before it reads.
    let endless = stream::repeat(Bytes::from(vec![0; 64 << 10])).take(48).chain(stream::pending());
    let refused = pushed(&developer, PATH, body(endless)).await.unwrap();
    let told = error(refused, 413, "request_too_large").await;
    assert!(told["message"].as_str().unwrap().contains("1048576"), "{told}");
    assert_eq!((gateway.gateway.intake().under_way(), open_files(&gateway.data())), (0, 0));
    let whole = developer.push(PATH, vec![0; (1 << 20) + 1]).await;
    error(whole, 413, "request_too_large").await;
}

/// It is not waited for what a client says that it will send, where that is too much.
#[tokio::test]
async fn an_announced_body_that_is_too_large_is_refused_before_it_comes() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /admin/v1{PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1048577\r\n\
         connection: close\r\n\r\n",
        developer.key
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut told = String::new();
    within(client.read_to_string(&mut told)).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 413 ") && told.contains("request_too_large"), "{told}");
}

/// What waits costs no memory: it is in files, of which there are no more than there are places.
#[tokio::test]
async fn thirty_uploads_at_once_have_the_places_of_four_and_leave_room_for_other_tenants() {
    let gateway = gateway().await;
    let developer = gateway.person("t", Role::Developer).await;
    let junk = Bytes::from(vec![7; 1 << 19]);
    let (feeds, uploads): (Vec<_>, Vec<_>) = (0..30)
        .map(|_| {
            let (feed, stream) = feed();
            feed.send(junk.clone());
            (feed, pushed(&developer, PATH, body(stream)))
        })
        .unzip();
    until(async || uploads.iter().filter(|upload| upload.is_finished()).count() == 26).await;
    assert_eq!(gateway.gateway.intake().under_way(), 4);
    assert_eq!(open_files(&gateway.data()), 4);
    let other = gateway.person("u", Role::Developer).await;
    let other = other.push("/tenants/u/adaptors/mine/versions", junk.clone()).await;
    assert_eq!(other.status(), 422, "another tenant's is examined meanwhile");
    drop(feeds);
    let mut codes = Vec::new();
    for upload in uploads {
        let done = upload.await.unwrap();
        let wait = done.headers().get("retry-after").cloned();
        let (status, told) = (done.status().as_u16(), done.json::<Value>().await.unwrap());
        assert_eq!(status == 503, wait.is_some(), "{told}");
        codes.push((status, told["error"]["code"].as_str().unwrap().to_owned()));
    }
    codes.sort();
    let times = |code: &str| codes.iter().filter(|(_, found)| found == code).count();
    assert_eq!((times("adaptor_refused"), times("overloaded")), (4, 26), "{codes:?}");
    assert_eq!((gateway.gateway.intake().under_way(), open_files(&gateway.data())), (0, 0));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let gateway = gateway().await;
    let before = names(&gateway.data());
    let developer = gateway.person("t", Role::Developer).await;
    let (feed, stream) = feed();
    feed.send("begun");
    let upload = pushed(&developer, PATH, body(stream));
    eventually(|| open_files(&gateway.data()) == 1).await;
    assert_eq!(names(&gateway.data()), before, "the file has no name that could stay");
    upload.abort();
    eventually(|| open_files(&gateway.data()) == 0).await;
    assert_eq!(gateway.gateway.intake().under_way(), 0);
    assert_eq!(names(&gateway.data()), before);
    drop(feed);
    assert_eq!(developer.read("/tenants/t/adaptors").await["data"], json!([]));
}
