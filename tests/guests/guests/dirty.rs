//! Looks for what another call has left in memory, then leaves as much as it can. It reports, as `before`:
//!
//! - `grown`: bytes that are not zero in memory that was grown just now
//! - `still`: such bytes in a static array
//! - `marks`: words with this guest's mark, anywhere in memory
//!
//! Then it fills the grown memory and the array with the mark and reports the same as `after`: what the next call
//! would find. `config.mib` (10) is how much it grows. A streaming task gets the report as its one event.

use airlock_adaptor::serde_json::{Value, json};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};
use airlock_guests::{number, settings};

struct Dirty;

/// A word that does not occur by chance. It is in the code, and in no data.
const MARK: u64 = 0xD1A7_5EED_C0FF_EE5A;
const STILL: usize = 3 << 20;
const PAGE: usize = 64 << 10;

static mut ARRAY: [u64; STILL / 8] = [0; STILL / 8];

impl EndpointAdaptor for Dirty {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        Reply::json(&report(&endpoint))
    }

    fn submit_streaming_task(endpoint: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let mut once = Some(endpoint);
        Ok(Reply::events(move || Ok(once.take().map(|endpoint| report(&endpoint).to_string().into_bytes()))))
    }
}

fn report(endpoint: &EndpointInfo) -> Value {
    let grown = grow(number(&settings(endpoint), "mib", 10) << 20);
    let still = Region { start: (&raw mut ARRAY).expose_provenance(), bytes: STILL };
    let before = look(&grown, &still);
    grown.fill();
    still.fill();
    json!({"before": before, "after": look(&grown, &still)})
}

fn look(grown: &Region, still: &Region) -> Value {
    // Not from 0, which is no address in Rust.
    let all = Region { start: 8, bytes: grown.start + grown.bytes - 8 };
    json!({
        "grown": grown.count(|word| word != 0) * 8,
        "still": still.count(|word| word != 0) * 8,
        "marks": all.count(|word| word == MARK),
    })
}

/// A part of linear memory.
struct Region {
    start: usize,
    bytes: usize,
}

impl Region {
    fn words(&self) -> impl Iterator<Item = *mut u64> {
        let start = std::ptr::with_exposed_provenance_mut::<u64>(self.start);
        (0..self.bytes / 8).map(move |at| start.wrapping_add(at))
    }

    fn count(&self, is: impl Fn(u64) -> bool) -> usize {
        // SAFETY: every address of linear memory may be read.
        self.words().filter(|word| is(unsafe { word.read_volatile() })).count()
    }

    fn fill(&self) {
        // SAFETY: the regions that are filled belong to nobody else.
        self.words().for_each(|word| unsafe { word.write_volatile(MARK) });
    }
}

/// Memory that no allocator knows.
#[cfg(target_arch = "wasm32")]
fn grow(bytes: usize) -> Region {
    let page = core::arch::wasm32::memory_grow::<0>(bytes / PAGE);
    assert!(page != usize::MAX, "the host refuses {bytes} bytes");
    Region { start: page * PAGE, bytes }
}

#[cfg(not(target_arch = "wasm32"))]
fn grow(bytes: usize) -> Region {
    let pages = Vec::leak(vec![0_u64; bytes / 8]);
    Region { start: pages.as_mut_ptr().expose_provenance(), bytes: bytes / PAGE * PAGE }
}

airlock_adaptor::export_endpoint!(Dirty);
