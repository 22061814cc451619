//! What each kind of frame does to a session: a match arm of `Session::frame` each. Nothing here
//! sends an answer.

use super::super::decode::BlockError;
use super::super::draft::Draft;
use super::super::frame::{self, Code, FrameHead};
use super::super::streams::{BODY_BYTES_MAX, Ended, Phase, STREAMS_MAX, Standing, Stream};
use super::{
    Block, Breach, CONTINUATIONS_MAX, Event, HEADER_BLOCK_BYTES_MAX, Idle, Session, WINDOW_BYTES,
};

/// What a frame came to; the error is the connection's.
type Came = Result<Option<Event>, Code>;

impl Session {
    pub(super) fn body(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if head.stream == 0 {
            return Err(Code::Protocol);
        }
        let Some(content) = frame::unpad(head.flags, payload) else { return Err(Code::Protocol) };
        self.used_window += payload.len() as i64;
        if self.used_window > WINDOW_BYTES {
            return Err(Code::FlowControl);
        }
        if self.used_window > WINDOW_BYTES / 2 {
            let opened = (self.used_window as u32).to_be_bytes();
            frame::put(&mut self.control, frame::WINDOW_UPDATE, 0, 0, &opened);
            self.used_window = 0;
        }
        let at = match self.streams.standing(head.stream) {
            Standing::Open(at) => at,
            Standing::Idle => return Err(Code::Protocol),
            Standing::Ended(Ended::ByUs) => return Ok(None),
            Standing::Ended(Ended::ByPeer) | Standing::Forgotten => return Err(Code::StreamClosed),
        };
        let Some(stream) = self.streams.at(at) else { return Ok(None) };
        match &mut stream.phase {
            Phase::Answering => Ok(self.reset_by_rule(head.stream, Code::StreamClosed)),
            Phase::Receiving { body_bytes, .. } => {
                *body_bytes += content.len() as u64;
                // Padding counts for a window too, but an honest client needs none of either.
                if *body_bytes > BODY_BYTES_MAX {
                    return Ok(self.reset_by_rule(head.stream, Code::FlowControl));
                }
                if head.has(frame::END_STREAM) { Ok(self.complete(head.stream)) } else { Ok(None) }
            }
        }
    }

    pub(super) fn headers(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if head.stream.is_multiple_of(2) {
            return Err(Code::Protocol);
        }
        let Some(mut block) = frame::unpad(head.flags, payload) else {
            return Err(Code::Protocol);
        };
        let mut is_poisoned = false;
        if head.has(frame::HAS_PRIORITY) {
            let depends_on = frame::number(block).ok_or(Code::FrameSize)? & 0x7fff_ffff;
            is_poisoned = depends_on == head.stream;
            block = block.get(5..).ok_or(Code::FrameSize)?;
        }
        match self.streams.standing(head.stream) {
            Standing::Idle => self.streams.highest = head.stream,
            Standing::Open(_) | Standing::Ended(Ended::ByUs) => {}
            Standing::Ended(Ended::ByPeer) => return Err(Code::StreamClosed),
            Standing::Forgotten => return Err(Code::Protocol),
        }
        let ends_stream = head.has(frame::END_STREAM);
        let bytes = block.to_vec();
        let block =
            Block { stream: head.stream, bytes, ends_stream, continuations: 0, is_poisoned };
        if head.has(frame::END_HEADERS) {
            return self.end_block(&block);
        }
        self.block = Some(Box::new(block));
        Ok(None)
    }

    pub(super) fn continuation(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        let Some(mut block) = self.block.take() else { return Err(Code::Protocol) };
        if block.stream != head.stream {
            return Err(Code::Protocol);
        }
        block.bytes.extend_from_slice(payload);
        block.continuations += 1;
        if head.has(frame::END_HEADERS) {
            return self.end_block(&block);
        }
        if block.bytes.len() > HEADER_BLOCK_BYTES_MAX || block.continuations >= CONTINUATIONS_MAX {
            return Err(self.calm(Breach::HeaderBlock));
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole block: a request, or what follows a body. It is decoded whatever it is for, or the
    /// tables of both ends would part.
    fn end_block(&mut self, block: &Block) -> Came {
        if block.bytes.len() > HEADER_BLOCK_BYTES_MAX {
            return Err(self.calm(Breach::HeaderBlock));
        }
        let mut draft = Draft::default();
        let read = self.decoder.block(&block.bytes, &mut |name, value| draft.field(name, value));
        match read {
            Ok(()) => {}
            Err(BlockError::Malformed) => return Err(Code::Compression),
            Err(BlockError::TooLarge) => return Err(self.calm(Breach::FieldList)),
        }
        let id = block.stream;
        if let Some(stream) = self.streams.find(id) {
            let code = match stream.phase {
                Phase::Answering => Code::StreamClosed,
                Phase::Receiving { .. } if block.ends_stream && draft.is_trailer() => {
                    return Ok(self.complete(id));
                }
                Phase::Receiving { .. } => Code::Protocol,
            };
            return Ok(self.reset_by_rule(id, code));
        }
        if matches!(self.streams.standing(id), Standing::Ended(_)) {
            return Ok(None);
        }
        if self.is_leaving || self.streams.count() >= STREAMS_MAX {
            return Ok(self.reset_by_rule(id, Code::Refused));
        }
        let asked = match draft.finish() {
            Ok(asked) if !block.is_poisoned => asked,
            _ => return Ok(self.reset_by_rule(id, Code::Protocol)),
        };
        let phase = Phase::Receiving { asked, body_bytes: 0 };
        self.streams.add(Stream { id, window: self.stream_window, phase });
        if block.ends_stream { Ok(self.complete(id)) } else { Ok(None) }
    }

    /// The request on stream `id` is whole.
    fn complete(&mut self, id: u32) -> Option<Event> {
        let stream = self.streams.find_mut(id)?;
        let phase = std::mem::replace(&mut stream.phase, Phase::Answering);
        let Phase::Receiving { asked, body_bytes } = phase else { return None };
        match asked.complete(body_bytes) {
            Ok(head) => {
                self.idle = Idle::default();
                Some(Event::Request { stream: id, head })
            }
            Err(_) => self.reset_by_rule(id, Code::Protocol),
        }
    }

    pub(super) fn priority(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if head.stream == 0 {
            return Err(Code::Protocol);
        }
        let depends_on = frame::number(payload).unwrap_or_default() & 0x7fff_ffff;
        let code = match payload.len() {
            5 if depends_on != head.stream => return Ok(None),
            5 => Code::Protocol,
            _ => Code::FrameSize,
        };
        match self.streams.standing(head.stream) {
            Standing::Open(_) => Ok(self.reset_by_rule(head.stream, code)),
            // There is no stream that could be reset.
            _ => Err(code),
        }
    }

    pub(super) fn reset_by_peer(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if payload.len() != 4 {
            return Err(Code::FrameSize);
        }
        match self.streams.standing(head.stream) {
            Standing::Idle => Err(Code::Protocol),
            _ if head.stream == 0 => Err(Code::Protocol),
            Standing::Open(_) => {
                self.resets += 1;
                self.tally.by_peer += 1;
                self.streams.end(head.stream, Ended::ByPeer);
                Ok(Some(Event::Reset { stream: head.stream }))
            }
            Standing::Ended(_) | Standing::Forgotten => Ok(None),
        }
    }

    pub(super) fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if head.stream != 0 {
            return Err(Code::Protocol);
        }
        if !payload.len().is_multiple_of(6) || (head.has(frame::ACK) && !payload.is_empty()) {
            return Err(Code::FrameSize);
        }
        if head.has(frame::ACK) {
            return Ok(None);
        }
        self.idle.settings += 1;
        for setting in payload.chunks_exact(6) {
            let (name, value) = setting.split_at_checked(2).ok_or(Code::FrameSize)?;
            let value = frame::number(value).ok_or(Code::FrameSize)?;
            match name {
                [0, 2] if value > 1 => return Err(Code::Protocol),
                [0, 4] => {
                    let window = i64::from(value);
                    let by = window - self.stream_window;
                    self.stream_window = window;
                    if window > i64::from(i32::MAX) || !self.streams.widen(by) {
                        return Err(Code::FlowControl);
                    }
                }
                // We send no frame that is longer than every peer must take.
                [0, 5] if !(16_384..1 << 24).contains(&value) => return Err(Code::Protocol),
                _ => {}
            }
        }
        frame::put(&mut self.control, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(None)
    }

    pub(super) fn ping(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if head.stream != 0 {
            return Err(Code::Protocol);
        }
        if payload.len() != 8 {
            return Err(Code::FrameSize);
        }
        if !head.has(frame::ACK) {
            self.idle.pings += 1;
            frame::put(&mut self.control, frame::PING, frame::ACK, 0, payload);
        }
        Ok(None)
    }

    pub(super) fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Came {
        if payload.len() != 4 {
            return Err(Code::FrameSize);
        }
        let by = i64::from(frame::number(payload).unwrap_or_default() & 0x7fff_ffff);
        self.opened_window = true;
        if head.stream == 0 {
            self.window += by;
            return match by {
                0 => Err(Code::Protocol),
                _ if self.window > i64::from(i32::MAX) => Err(Code::FlowControl),
                _ => Ok(None),
            };
        }
        let at = match self.streams.standing(head.stream) {
            Standing::Idle => return Err(Code::Protocol),
            Standing::Open(at) => at,
            Standing::Ended(_) | Standing::Forgotten => return Ok(None),
        };
        let Some(stream) = self.streams.at(at) else { return Ok(None) };
        stream.window += by;
        match by {
            0 => Ok(self.reset_by_rule(head.stream, Code::Protocol)),
            _ if stream.window > i64::from(i32::MAX) => {
                Ok(self.reset_by_rule(head.stream, Code::FlowControl))
            }
            _ => Ok(None),
        }
    }
}
