//! Bodies as backends compress them.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderValue, Response};

use super::Body;

/// The codings that the gateway undoes, as `content-encoding` names them.
pub const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// What comes out of an encoder for each of these pieces, each flushed; the last piece also has the end.
pub fn packed<T: AsRef<[u8]>>(coding: &str, pieces: &[T]) -> Vec<Bytes> {
    let level = flate2::Compression::default();
    match coding {
        "gzip" => {
            each(flate2::write::GzEncoder::new(Vec::new(), level), pieces, |e| e.get_mut(), |e| e.finish())
        }
        "deflate" => {
            each(flate2::write::ZlibEncoder::new(Vec::new(), level), pieces, |e| e.get_mut(), |e| e.finish())
        }
        "br" => {
            let encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            each(encoder, pieces, |e| e.get_mut(), |e| Ok(e.into_inner()))
        }
        "zstd" => {
            let encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            each(encoder, pieces, |e| e.get_mut(), |e| e.finish())
        }
        other => panic!("{other} is not known"),
    }
}

fn each<E: Write, T: AsRef<[u8]>>(
    mut encoder: E,
    pieces: &[T],
    out: impl Fn(&mut E) -> &mut Vec<u8>,
    finish: impl Fn(E) -> std::io::Result<Vec<u8>>,
) -> Vec<Bytes> {
    let mut packed = Vec::new();
    for piece in pieces {
        encoder.write_all(piece.as_ref()).unwrap();
        encoder.flush().unwrap();
        packed.push(std::mem::take(out(&mut encoder)));
    }
    let end = finish(encoder).unwrap();
    packed.last_mut().expect("a piece").extend(end);
    packed.into_iter().map(Bytes::from).collect()
}

/// The response with a coding in its head. Its body is as it was.
pub fn coded(mut response: Response<Body>, coding: &str) -> Response<Body> {
    response.headers_mut().insert("content-encoding", HeaderValue::from_str(coding).unwrap());
    response
}
