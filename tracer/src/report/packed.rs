//! Data inside of the page: compressed, and in letters and digits only, so that nothing of it is markup.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Octets that are encoded at once: whole groups of three.
const PIECE: usize = 3 << 10;

/// Writes octets in base64, compressed with gzip.
///
/// # Errors
/// Where they cannot be written.
pub(super) fn write(octets: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(octets)?;
    for piece in packer.finish()?.chunks(PIECE) {
        let mut letters = [0; PIECE / 3 * 4];
        let len = STANDARD
            .encode_slice(piece, &mut letters)
            .map_err(|error| io::Error::other(error.to_string()))?;
        out.write_all(letters.get(..len).unwrap_or_default())?;
    }
    Ok(())
}

/// The hash of a text as a Content-Security-Policy names it: `sha256-…`.
pub(super) fn hash(text: &str) -> String {
    let mut letters = [0; 44];
    // There is room for exactly as much as 32 octets take.
    let _ = STANDARD.encode_slice(Sha256::digest(text), &mut letters);
    format!("sha256-{}", String::from_utf8_lossy(&letters))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_written_can_be_unpacked() {
        for len in [0, 1, 5_000, 100_000] {
            let octets: Vec<u8> = (0..len)
                .map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
                .collect();
            let mut letters = Vec::new();
            write(&octets, &mut letters).unwrap();
            let mut packed = vec![0; letters.len()];
            let size = STANDARD.decode_slice(&letters, &mut packed).unwrap();
            let mut again = Vec::new();
            GzDecoder::new(&packed[..size])
                .read_to_end(&mut again)
                .unwrap();
            assert_eq!(again, octets);
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // FIPS 180-4, of the empty text.
        assert_eq!(
            hash(""),
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }
}
