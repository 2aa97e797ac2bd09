//! Takes memory, 4 MiB at a time with every page touched, until it is stopped or the host refuses more:
//! then it aborts. It uses little CPU time. A streaming task does the same.

use std::hint::black_box;

use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task};

struct Grow;

const BLOCK: usize = 4 << 20;
const PAGE: usize = 4 << 10;

impl EndpointAdaptor for Grow {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(_: EndpointInfo, _: Task) -> Result<Reply, AdaptorError> {
        let mut taken = Vec::new();
        loop {
            let mut block = Vec::<u8>::with_capacity(BLOCK);
            for page in block.spare_capacity_mut().chunks_mut(PAGE) {
                page[0].write(1);
            }
            taken.push(black_box(block));
        }
    }
}

airlock_adaptor::export_endpoint!(Grow);
