//! Being built.
#[derive(Debug)]
pub struct Buffer;
