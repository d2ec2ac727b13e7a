//! One question, and which packets are replies to it.

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

use super::kind::{Class, Kind};
use super::record::{Message, labels, name_text};
use crate::sys::random;

const HEADER: usize = 12;
/// The last bytes of a question.
const TYPE_AND_CLASS: usize = 4;

/// A question.
#[derive(Debug)]
pub struct Query {
    /// Its number, which the reply repeats.
    pub id: u16,
    /// The full name in text form, with its trailing dot.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
    /// In which class.
    pub class: Class,
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
    pub fn new(name: &str, kind: Kind, class: Class, recursive: bool) -> Result<Self, &'static str> {
        let mut id = [0; 2];
        random::fill(&mut id).map_err(|_| "getrandom failed")?;
        let id = u16::from_be_bytes(id);
        let name = Name::new_with_labels(&labels(name)?);
        let text = name_text(&name);
        let mut packet = Packet::new_query(id);
        if recursive {
            packet.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
        let mut packet = packet.build_bytes_vec().map_err(|_| "the question cannot be written")?;
        // The builder takes no type that it does not know.
        packet.truncate(packet.len().saturating_sub(TYPE_AND_CLASS));
        packet.extend(kind.code().to_be_bytes());
        packet.extend(class.code().to_be_bytes());
        Ok(Self { id, name: text, kind, class, packet })
    }

    /// Whether a packet repeats the question, its name in any case.
    fn is_repeated_by(&self, bytes: &[u8]) -> bool {
        let Some(mine) = self.packet.get(HEADER..) else { return false };
        let Some(theirs) = bytes.get(HEADER..HEADER + mine.len()) else { return false };
        let end = mine.len().saturating_sub(TYPE_AND_CLASS);
        mine.get(end..) == theirs.get(end..) && mine.eq_ignore_ascii_case(theirs)
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
        let mine = match word(4) {
            1 => self.is_repeated_by(bytes),
            // A server that can't read or won't take a question may leave it out, and has nothing to say then.
            _ => records == 0 && header[3] & 0x0f != 0,
        };
        // The parser refuses a question of a type that it does not know.
        let mut known = bytes.to_vec();
        if let (1, Some(kind)) =
            (word(4), known.get_mut(self.packet.len() - TYPE_AND_CLASS..self.packet.len()))
        {
            kind.copy_from_slice(&[0, 1, 0, 1]);
        }
        let packet = Packet::parse(&known).ok()?;
        mine.then(|| Reply::Message(Message::of(&packet, bytes)))
    }
}
