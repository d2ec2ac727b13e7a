//! One question, and which packets are replies to it.

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, Question};

use super::record::{Kind, Message, labels, name_text};
use crate::sys::random;

/// A question.
#[derive(Debug)]
pub struct Query {
    /// Its number, which the reply repeats.
    pub id: u16,
    /// The full name in text form, with its trailing dot.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
    pub(super) packet: Vec<u8>,
}

/// What a packet is for a question.
#[derive(Debug)]
pub enum Reply {
    /// Its reply.
    Message(Message),
    /// A truncated reply: to be asked again over TCP.
    Cut,
}

impl Query {
    /// A question for a full name; a trailing dot makes no difference.
    ///
    /// # Errors
    /// A sentence that says why DNS can't carry the name.
    pub fn new(name: &str, kind: Kind, recursive: bool) -> Result<Self, &'static str> {
        let mut id = [0; 2];
        random::fill(&mut id).map_err(|_| "getrandom failed")?;
        let id = u16::from_be_bytes(id);
        let name = Name::new_with_labels(&labels(name)?);
        let text = name_text(&name);
        let mut packet = Packet::new_query(id);
        if recursive {
            packet.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        packet.questions.push(Question::new(name, kind.on_the_wire(), QCLASS::CLASS(CLASS::IN), false));
        let packet = packet.build_bytes_vec().map_err(|_| "the question cannot be written")?;
        Ok(Self { id, name: text, kind, packet })
    }

    /// Reads a packet; `None` where it is no reply to this question.
    pub fn reply(&self, bytes: &[u8]) -> Option<Reply> {
        let header: &[u8; 12] = bytes.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if word(0) != self.id || header[2] & 0x80 == 0 {
            return None;
        }
        if header[2] & 2 != 0 {
            // A cut reply need not parse to its end; it is only believed as far as to ask again.
            return Some(Reply::Cut);
        }
        // Records take 11 bytes or more: counts beyond that are a lie, and would be allocated for.
        let records: usize = [6, 8, 10].into_iter().map(|at| usize::from(word(at))).sum();
        if word(4) > 1 || records * 11 > bytes.len() {
            return None;
        }
        let packet = Packet::parse(bytes).ok()?;
        let mine = match packet.questions.first() {
            Some(question) => {
                question.qtype == self.kind.on_the_wire()
                    && question.qclass == QCLASS::CLASS(CLASS::IN)
                    && name_text(&question.qname).eq_ignore_ascii_case(&self.name)
            }
            // A server that can't read or won't take a question may leave it out, and has nothing to say then.
            None => records == 0 && header[3] & 0x0f != 0,
        };
        mine.then(|| Reply::Message(Message::of(&packet, bytes)))
    }
}
