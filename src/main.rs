//! `countersign`: see `countersign --help`.

use std::process::ExitCode;

/// Held calls are many small things beside two large buffers that are nearly empty; this allocator keeps the two
/// apart, so that a page of nothing costs nothing. (`cargo bench -- memory` has the numbers.)
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
