//! Compressed captures, known by their first octets and not by their names.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// Octets that a compression is known by.
pub(super) const MARK_LEN: usize = 4;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: u32 = 0xfd2f_b528;
/// Frames of zstd that carry something else begin with one of sixteen marks (RFC 8878 §3.1.2).
const ZSTD_SKIPPABLE: u32 = 0x184d_2a50;

/// Compressed octets that are read at once.
const BUFFER: usize = 64 << 10;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Of a stream that begins like this.
    pub(super) fn of(octets: &[u8]) -> Self {
        let mark = octets.first_chunk().map(|mark| u32::from_le_bytes(*mark));
        match mark {
            _ if octets.starts_with(&GZIP) => Self::Gzip,
            Some(ZSTD) => Self::Zstd,
            Some(mark) if mark & !0xf == ZSTD_SKIPPABLE => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The stream without its compression, whatever that is.
pub(super) fn decoded<R: Read + Send + 'static>(mut raw: R) -> io::Result<Box<dyn Read + Send>> {
    let mut mark = Vec::with_capacity(MARK_LEN);
    raw.by_ref().take(MARK_LEN as u64).read_to_end(&mut mark)?;
    let compression = Compression::of(&mark);
    let whole: Chain<Cursor<Vec<u8>>, R> = Cursor::new(mark).chain(raw);
    let buffered = |raw| BufReader::with_capacity(BUFFER, raw);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(MultiGzDecoder::new(buffered(whole))),
        Compression::Zstd => Box::new(ZstdDecoder::with_buffer(buffered(whole))?),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression as Level;
    use flate2::write::GzEncoder;

    use super::*;

    const TEXT: &[u8] = b"what was compressed in several pieces, one behind the other";

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(octets: &[u8]) -> Vec<u8> {
        zstd::encode_all(octets, 1).unwrap()
    }

    fn all(octets: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decoded(Cursor::new(octets))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_not_compressed_stays_as_it_is() {
        assert_eq!(all(TEXT.to_vec()).unwrap(), TEXT);
        assert_eq!(all(vec![1, 2]).unwrap(), [1, 2]);
        assert!(all(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let (a, b) = TEXT.split_at(20);
        assert_eq!(all([gzip(a), gzip(b)].concat()).unwrap(), TEXT);
        assert_eq!(all([zstd(a), zstd(b)].concat()).unwrap(), TEXT);
    }

    #[test]
    fn frames_that_carry_something_else_are_left_out() {
        let other = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], &[9, 9, 9]].concat();
        let whole = [other.clone(), zstd(TEXT), other].concat();
        assert_eq!(all(whole).unwrap(), TEXT);
    }

    #[test]
    fn a_cut_anywhere_is_an_error_or_gives_the_beginning() {
        for whole in [gzip(TEXT), zstd(TEXT)] {
            for len in 0..whole.len() {
                if let Ok(text) = all(whole[..len].to_vec()) {
                    assert!(len < MARK_LEN && text == whole[..len], "{len}");
                }
            }
        }
    }
}
