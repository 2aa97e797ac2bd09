//! Reads pickled data and nothing else: numbers, text, lists, tuples, dictionaries. No opcode that names, imports or
//! calls anything is known here, so a pickle cannot do anything (Python's `pickletools` lists them all).

use airlock_adaptor::serde_json::{Map, Number, Value};

/// Deepest nesting, and most values that are written out: a pickle may name one value many times.
const MAX_DEPTH: usize = 128;
const MAX_VALUES: usize = 1 << 20;

/// One value, with others by their place in the arena: a list may be named before it is filled.
enum Node {
    Plain(Value),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
}

struct Reader<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: Vec<(u32, usize)>,
}

/// The value of a pickle.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let (nodes, marks) = (Vec::new(), Vec::new());
    let mut reader = Reader { bytes, nodes, stack: Vec::new(), marks, memo: Vec::new() };
    while reader.step()? {}
    let top = reader.pop()?;
    let mut left = MAX_VALUES;
    reader.value(top, MAX_DEPTH, &mut left)
}

const TRUNCATED: &str = "the pickle ends early";

impl Reader<'_> {
    /// Runs one opcode; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        let [opcode] = self.take()?;
        match opcode {
            b'.' => return Ok(false),
            0x80 => drop(self.take::<1>()?), // protocol
            0x95 => drop(self.take::<8>()?), // frame
            b'N' => self.plain(Value::Null),
            0x88 => self.plain(Value::Bool(true)),
            0x89 => self.plain(Value::Bool(false)),
            b'K' => self.unsigned::<1>()?,
            b'M' => self.unsigned::<2>()?,
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.plain(number.into());
            }
            0x8a => self.long()?,
            b'G' => {
                let number = f64::from_be_bytes(self.take()?);
                self.plain(Number::from_f64(number).map_or(Value::Null, Value::Number));
            }
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'(' => self.marks.push(self.stack.len()),
            b'a' | b'e' => self.append(opcode == b'e')?,
            b's' | b'u' => self.set_items(opcode == b'u')?,
            b't' => {
                let items = self.above_mark()?;
                self.push(Node::List(items));
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or(TRUNCATED)?;
                let items = self.stack.split_off(from);
                self.push(Node::List(items));
            }
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            b'q' => {
                let [key] = self.take()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.remember(key)?;
            }
            b'h' => {
                let [key] = self.take()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.recall(key)?;
            }
            other => {
                return Err(format!(
                    "the pickle holds more than data (opcode {other:#04x}), which is not read"
                ));
            }
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(*head)
    }

    /// A little-endian number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Result<u64, String> {
        let bytes: [u8; N] = self.take()?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn slice(&mut self, length: u64) -> Result<&[u8], String> {
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(head)
    }

    fn unsigned<const N: usize>(&mut self) -> Result<(), String> {
        let number = self.number::<N>()?;
        self.plain(number.into());
        Ok(())
    }

    /// A number of any length in two's complement; more than 64 bits are no JSON number that anybody reads.
    fn long(&mut self) -> Result<(), String> {
        let length = self.number::<1>()?;
        let bytes = self.slice(length)?;
        if bytes.len() > 8 {
            return Err("the pickle holds a number of more than 64 bits".into());
        }
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let start = if is_negative { -1 } else { 0 };
        let number = bytes.iter().rev().fold(start, |number: i64, byte| number << 8 | i64::from(*byte));
        self.plain(number.into());
        Ok(())
    }

    fn text<const N: usize>(&mut self) -> Result<(), String> {
        let length = self.number::<N>()?;
        let text = std::str::from_utf8(self.slice(length)?).map_err(|_| "the pickle's text is not UTF-8")?;
        let text = Value::String(text.to_owned());
        self.plain(text);
        Ok(())
    }

    fn plain(&mut self, value: Value) {
        self.push(Node::Plain(value));
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<usize, String> {
        let floor = self.marks.last().copied().unwrap_or_default();
        let top = if self.stack.len() > floor { self.stack.pop() } else { None };
        top.ok_or_else(|| TRUNCATED.to_owned())
    }

    fn above_mark(&mut self) -> Result<Vec<usize>, String> {
        let mark = self.marks.pop().ok_or(TRUNCATED)?;
        if mark > self.stack.len() {
            return Err(TRUNCATED.into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Node, String> {
        let top = *self.stack.last().ok_or(TRUNCATED)?;
        self.nodes.get_mut(top).ok_or_else(|| TRUNCATED.to_owned())
    }

    fn append(&mut self, many: bool) -> Result<(), String> {
        let items = if many { self.above_mark()? } else { vec![self.pop()?] };
        match self.top()? {
            Node::List(list) => list.extend(items),
            _ => return Err("the pickle appends to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, many: bool) -> Result<(), String> {
        let items = if many {
            self.above_mark()?
        } else {
            let value = self.pop()?;
            vec![self.pop()?, value]
        };
        match self.top()? {
            Node::Dict(dict) => {
                dict.extend(items.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))));
            }
            _ => return Err("the pickle sets items of what is no dictionary".into()),
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or(TRUNCATED)?;
        self.memo.push((key, top));
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let found = self.memo.iter().rev().find(|(known, _)| *known == key).map(|(_, node)| *node);
        self.stack.push(found.ok_or("the pickle names a value that it does not hold")?);
        Ok(())
    }

    /// Writes a value out.
    fn value(&self, at: usize, depth: usize, left: &mut usize) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or("the pickle is nested too deeply, or holds itself")?;
        *left = left.checked_sub(1).ok_or("the pickle holds too many values")?;
        match self.nodes.get(at).ok_or(TRUNCATED)? {
            Node::Plain(value) => Ok(value.clone()),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(*item, depth, left));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Node::Dict(items) => {
                let mut map = Map::new();
                for (key, item) in items {
                    let key = match self.value(*key, depth, left)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    map.insert(key, self.value(*item, depth, left)?);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use airlock_adaptor::serde_json::json;
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    fn read_base64(text: &str) -> Result<Value, String> {
        read(&BASE64_STANDARD.decode(text).unwrap())
    }

    #[test]
    fn what_python_writes_is_read() {
        // pickle.dumps(…, protocol=4), by CPython 3.11.
        assert_eq!(read_base64("gASVDAAAAAAAAACMCHsiYSI6IDF9lC4=").unwrap(), json!("{\"a\": 1}"));
        assert_eq!(read_base64("gAR9lC4=").unwrap(), json!({}));
        let by_hand: [(&[u8], Value); 8] = [
            (b"\x80\x04]\x94(K\x01K\x02e.", json!([1, 2])),
            (b"\x80\x04}\x94\x8c\x01k\x94K\x07s.", json!({ "k": 7 })),
            (b"\x80\x04(K\x01N\x88t.", json!([1, null, true])),
            (b"\x80\x04K\x01K\x02\x86.", json!([1, 2])),
            (b"\x80\x04J\xff\xff\xff\xff.", json!(-1)),
            (b"\x80\x04\x8a\x01\xfe.", json!(-2)),
            (b"\x80\x04G\x3f\xf8\0\0\0\0\0\0.", json!(1.5)),
            // One list, named twice, filled in between.
            (b"\x80\x04]\x94]\x94(h\x00h\x00e.", json!([[], []])),
        ];
        for (bytes, expected) in by_hand {
            assert_eq!(read(bytes).unwrap(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_more_than_data_or_no_pickle_is_refused() {
        let bad: [&[u8]; 12] = [
            b"",
            b"\x80\x04",
            b"\x80\x04.",
            b"\x80\x04K",
            b"\x80\x04\x8c\xffx.",
            b"cos\nsystem\n(S'id'\ntR.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
            b"\x80\x04e.",
            b"\x80\x04K\x01a.",
            b"\x80\x04h\x05.",
            // A list that holds itself.
            b"\x80\x04]\x94h\x00a.",
            b"\x80\x04\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.",
        ];
        for bytes in bad {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        // Thirty lists, each holding the one before twice: a billion values.
        let mut bomb = b"\x80\x04]\x94".to_vec();
        for n in 0..30 {
            bomb.extend([b']', 0x94, b'(', b'h', n, b'h', n, b'e']);
        }
        bomb.push(b'.');
        assert!(read(&bomb).unwrap_err().contains("too many"));
    }

    #[test]
    fn a_pickle_cut_anywhere_is_refused_and_none_panics() {
        let whole = b"\x80\x04\x95\x20\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01K\x02eX\x01\0\0\0bG\x3f\xf8\0\0\0\0\0\0u.";
        assert_eq!(read(whole).unwrap(), json!({ "a": [1, 2], "b": 1.5 }));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                let _ = read(&changed);
            }
        }
    }
}
