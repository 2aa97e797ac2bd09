use http_body_util::{BodyExt as _, Full};

use super::*;

fn form(head: &[&'static str], name: Range<usize>, rest: &'static str) -> Form {
    let head = head.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
    let rest = Full::new(Bytes::from_static(rest.as_bytes())).map_err(|never| match never {});
    Form::new(HeaderValue::from_static("multipart/form-data; boundary=b"), head, name, Box::pin(rest))
}

async fn sent(upload: Upload) -> String {
    String::from_utf8(upload.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_models_name_is_replaced_however_the_head_is_cut() {
    for head in
        [&["abcNAMEdef"][..], &["abcNA", "MEdef"], &["abc", "N", "AM", "E", "def"], &["abc", "NAME", "def"]]
    {
        for (model, expected) in
            [("NAME", "abcNAMEdef/rest"), ("x", "abcxdef/rest"), ("longer!", "abclonger!def/rest")]
        {
            let upload = form(head, 3..7, "/rest").send(model).unwrap();
            assert_eq!(upload.size_hint().exact(), Some(expected.len() as u64));
            assert_eq!(sent(upload).await, expected, "{head:?}");
        }
    }
}

#[tokio::test]
async fn it_can_be_sent_once_and_again_only_where_nothing_was_taken() {
    let form = form(&["ab"], 0..1, "c");
    drop(form.send("a").unwrap());
    assert!(form.is_whole());
    let mut upload = form.send("a").unwrap();
    assert!(matches!(form.send("a"), Err(FormFault::Spent)));
    upload.frame().await.unwrap().unwrap();
    drop(upload);
    assert!(!form.is_whole());
    assert!(matches!(form.send("a"), Err(FormFault::Spent)));
}

#[test]
fn a_body_that_a_middleware_hands_on_unchanged_leaves_the_form() {
    let shown = Bytes::from_static(b"{\"model\":\"m\"}");
    let mut body = OwnBody::Form { form: form(&["ab"], 0..1, "c"), model: "m".into(), shown: shown.clone() };
    body.replace(shown);
    assert!(matches!(body, OwnBody::Form { .. }));
    body.replace(Bytes::from_static(b"{}"));
    assert!(matches!(body, OwnBody::Whole(own) if own == "{}"));
}

#[tokio::test]
async fn what_is_held_back_goes_on_to_nobody() {
    let form = form(&["ab"], 0..1, "c");
    let mut upload = form.send("a").unwrap();
    upload.frame().await.unwrap().unwrap();
    form.hold();
    let guard = Guard(form.clone());
    let waiting = tokio::spawn(async move {
        while let Some(frame) = upload.frame().await {
            frame?;
        }
        Ok(())
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(guard);
    assert!(matches!(waiting.await.unwrap(), Err(EgressError::Form(FormFault::Over))));
    assert!(form.into_rest().is_some());
}
