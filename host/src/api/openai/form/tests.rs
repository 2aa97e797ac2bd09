use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{scanner::Scanner, *};

const MODEL: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n";
const FILE: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nsound\r\n-\r\n--\r\n--\r\r\n\r\n";

/// What comes of a form in these pieces: the model and its place, or the fault's text.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, String), String> {
    let (mut scanner, mut all) = (Scanner::new("b"), Vec::new());
    for piece in pieces {
        all.extend_from_slice(piece);
        scanner.push(piece).map_err(|fault| fault.to_string())?;
    }
    scanner.finish().map_err(|fault| fault.to_string())?;
    let model = scanner.model().unwrap();
    Ok((model.name.clone(), String::from_utf8(all[model.place.clone()].to_vec()).unwrap()))
}

/// However it is cut, the same comes of it.
fn in_all_cuts(form: &[u8]) -> Result<(String, String), String> {
    let whole = scan([form]);
    assert_eq!(scan(form.chunks(1)), whole, "byte by byte: {}", form.escape_ascii());
    for cut in 0..form.len() {
        let (a, b) = form.split_at(cut);
        assert_eq!(scan([a, b]), whole, "cut at {cut}: {}", form.escape_ascii());
        assert_eq!(scan(form.chunks(cut + 1)), whole, "in pieces of {}: {}", cut + 1, form.escape_ascii());
    }
    whole
}

#[test]
fn the_model_is_found_wherever_it_stands_and_however_the_form_is_cut() {
    let found = Ok(("whisper-1".to_owned(), "whisper-1".to_owned()));
    for form in [
        format!("{MODEL}--b--\r\n"),
        format!("{MODEL}{FILE}--b--"),
        format!("{FILE}{MODEL}--b--\r\n"),
        format!("\r\n{FILE}{MODEL}{FILE}{FILE}--b--\r\n"),
        // A field without contents.
        format!("--b\r\nContent-Disposition: form-data; name=prompt\r\n\r\n\r\n{MODEL}--b--\r\n"),
    ] {
        assert_eq!(in_all_cuts(form.as_bytes()), found, "{form}");
    }
}

#[test]
fn what_is_no_form_is_refused_however_it_is_cut() {
    let named = |name: &str| MODEL.replace("whisper-1", name);
    for (form, said) in [
        (String::new(), "ends before its last boundary"),
        ("{\"model\":\"m\"}".into(), "does not begin with the boundary"),
        (format!("preamble\r\n{MODEL}--b--"), "does not begin with the boundary"),
        (FILE.to_owned(), "ends before its last boundary"),
        (format!("{FILE}--b--"), "no text field `model`"),
        (MODEL.to_owned(), "ends before its last boundary"),
        (format!("{MODEL}{FILE}{MODEL}--b--"), "`model` twice"),
        (format!("{MODEL}--bx--"), "neither a line end nor `--`"),
        (format!("{MODEL}--b \r\n"), "neither a line end nor `--`"),
        (format!("{MODEL}--b--\r\nmore"), "something follows"),
        (format!("{MODEL}--b--{MODEL}"), "something follows"),
        (MODEL.replace("whisper-1", "whisper-1\n--b\n"), "within a part"),
        (format!("{}--b--", MODEL.replace("whisper-1\r", "whisper-1")), "within a part"),
        (
            format!("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n--b\r\n{MODEL}--b--"),
            "within a part",
        ),
        (format!("--b\r\n\r\n\r\n{MODEL}--b--"), "no `Content-Disposition`"),
        (MODEL.replace("\"model\"", "\"model\"; filename=\"m\""), "is a file"),
        (format!("{}--b--", named("")), "is empty"),
        (format!("{}--b--", named(&"m".repeat(1025))), "longer than 1024 bytes"),
        (named(&"m".repeat(2000)).replace("\r\n--b", ""), "longer than 1024 bytes"),
        (
            MODEL.replace("form-data;", &format!("form-data; x=\"{}\";", "y".repeat(8200))),
            "longer than 8192 bytes",
        ),
        (format!("--b\r\nx: {}", "y".repeat(8300)), "longer than 8192 bytes"),
    ] {
        let is_long = form.len() > 1500;
        let fault = if is_long {
            let whole = scan([form.as_bytes()]);
            for size in [1, 2, 7, 1000] {
                assert_eq!(scan(form.as_bytes().chunks(size)), whole, "in pieces of {size}");
            }
            whole
        } else {
            in_all_cuts(form.as_bytes())
        };
        assert!(
            fault.as_ref().is_err_and(|text| text.contains(said)),
            "{form:.200}: {fault:?}, and not {said}"
        );
    }
    let mut latin = format!("{MODEL}--b--").into_bytes();
    let at = latin.windows(3).position(|bytes| bytes == b"whi").unwrap();
    latin[at] = 0xe9;
    assert!(in_all_cuts(&latin).unwrap_err().contains("not UTF-8"));
}

/// Bytes that are much like boundaries and line ends, at random: no cut makes a difference.
#[test]
fn no_cut_makes_a_difference_for_odd_forms() {
    let words: [&[u8]; 12] = [
        b"--b",
        b"\r\n",
        b"\r",
        b"\n",
        b"-",
        b"b",
        b"\r\n--b\r\n",
        b"\r\n--b--",
        b"x",
        MODEL.as_bytes(),
        FILE.as_bytes(),
        b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n",
    ];
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        usize::try_from(number % below as u64).unwrap()
    };
    let mut found = 0;
    for _ in 0..2000 {
        let count = next(6);
        let mut form = if next(2) == 0 { MODEL.as_bytes().to_vec() } else { Vec::new() };
        form.extend((0..count).flat_map(|_| words[next(words.len())]).copied());
        let whole = scan([&form[..]]);
        found += usize::from(whole.is_ok());
        for _ in 0..8 {
            let (mut pieces, mut rest) = (Vec::new(), &form[..]);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + next(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(scan(pieces), whole, "{}", form.escape_ascii());
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_boundary_is_named_once_and_is_one() {
    let of = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        boundary(&headers).map(|(_, boundary)| boundary).map_err(|error| error.code().to_owned())
    };
    for (value, expected) in [
        ("multipart/form-data; boundary=abc", "abc"),
        ("Multipart/Form-Data;boundary=\"a b'()+_,-./=?c\"", "a b'()+_,-./=?c"),
        (
            "multipart/form-data; charset=utf-8; boundary=----formdata-undici-012345",
            "----formdata-undici-012345",
        ),
    ] {
        assert_eq!(of(value), Ok(expected.to_owned()), "{value}");
    }
    let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
    for value in [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=abc",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a@b\"",
        "multipart/form-data; boundary=\"ab \"",
        "nonsense",
        &long,
    ] {
        assert_eq!(of(value), Err("invalid_form".to_owned()), "{value}");
    }
    assert_eq!(
        boundary(&HeaderMap::new()).map(drop).map_err(|error| error.code().to_owned()),
        Err("invalid_form".into())
    );
}

fn incoming(limit: u64, body: Body) -> Incoming {
    Incoming::new(body, "b", limit)
}

fn pieces(of: &'static [&'static str]) -> Body {
    let frames = stream::iter(of)
        .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(piece.as_bytes()))));
    Body::new(StreamBody::new(frames))
}

/// Half a form, and then nothing.
struct Silent(bool);

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Pending
        } else {
            Poll::Ready(Some(Ok(Frame::data(MODEL.into()))))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_not_waited_for_and_one_that_is_not_asked_is() {
    let mut body = incoming(1 << 20, Body::new(Silent(false)));
    body.frame().await.unwrap().unwrap();
    // A backend that takes its time is not the client's fault.
    tokio::time::sleep(BODY_IDLE * 3).await;
    let start = tokio::time::Instant::now();
    assert!(matches!(body.frame().await, Some(Err(FormFault::Unreadable(_)))));
    assert_eq!(start.elapsed().as_secs(), BODY_IDLE.as_secs());
}

#[tokio::test]
async fn what_is_over_the_limit_or_cut_off_is_not_passed_on() {
    let mut body = incoming(10, pieces(&["--b\r\n", "Content-Disposition"]));
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(body.frame().await.unwrap().unwrap_err(), FormFault::TooLarge(10));
    let mut body = incoming(1 << 20, pieces(&["--b\r\nContent-"]));
    assert!(body.frame().await.unwrap().is_ok());
    assert!(matches!(body.frame().await, Some(Err(FormFault::Malformed { .. }))));
}
