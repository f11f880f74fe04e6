//! Reads the directory of a zip as a stream, by the `.ZIP File Format Specification` (APPNOTE) 6.3.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::entry::{Compression, Encoding, Entry};
use super::error::{Place, ReadError};
use super::source::{Source, SourceStream};

/// The most entries of an archive. An archive of the Portal has three. The plan holds all entries in memory.
const ENTRIES_LIMIT: usize = 10_000;

/// The most bytes of the directory of an archive: 800 for each of [`ENTRIES_LIMIT`] entries. Bounds the names in
/// memory.
const DIRECTORY_LIMIT_BYTES: u64 = 8 * 1024 * 1024;

/// Length of a local file header without its name and extra field.
pub(super) const LOCAL_HEADER_BYTES: u64 = 30;

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const END64_LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const END64_LOCATOR_BYTES: usize = 20;
const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const END64_BYTES: usize = 56;
const FILE_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const FILE_BYTES: usize = 46;
const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
/// The longest comment: its length is 16 bits.
const COMMENT_LIMIT_BYTES: usize = 65_535;
const ZIP64_EXTRA: u16 = 0x0001;
const METHOD_DEFLATE: u16 = 8;
const METHOD_ZSTD: u16 = 93;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_UTF8: u16 = 1 << 11;

/// Reads the little-endian fields of a record one after the other. The caller checks the length of the record first.
struct FieldReader<'a>(&'a [u8]);

impl FieldReader<'_> {
    #[expect(clippy::expect_used, reason = "every record is checked for its length before its fields are read")]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().expect("a record of the zip has all of its fields");
        self.0 = rest;
        *first
    }

    fn skip(&mut self, bytes: usize) -> &mut Self {
        self.0 = self.0.split_at(bytes).1;
        self
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Where the directory is.
#[derive(Debug, Clone, Copy)]
struct DirectoryBounds {
    start: u64,
    size: u64,
    entries: u64,
    /// Whether `entries` is exact, and not modulo 65,536.
    exact: bool,
}

/// Reads the entries of the archive, in the order of its directory, without its folders.
pub(super) async fn directory(source: &Source) -> Result<Vec<Entry>, ReadError> {
    let end = find_end(source).await?;
    if end.size > DIRECTORY_LIMIT_BYTES {
        let found = format!("a zip with a directory of {} bytes", end.size);
        return Err(ReadError::unsupported(source.place(), found, "split it: a directory may have at most 8 MiB"));
    }
    let mut reader = DirectoryReader::new(source, end);
    let (mut entries, mut extents, mut count) = (Vec::new(), Vec::new(), 0_u64);
    while let Some(file) = reader.next().await? {
        count += 1;
        extents.push(file.extent);
        if extents.len() > ENTRIES_LIMIT {
            let found = format!("a zip of more than {ENTRIES_LIMIT} entries");
            return Err(ReadError::unsupported(source.place(), found, "split it into several"));
        }
        entries.extend(file.entry);
    }
    if count != end.entries && (end.exact || count % 0x1_0000 != end.entries) {
        let place = source.place().at_stored_byte(end.start);
        return Err(ReadError::corrupt(place, format!("{} entries in the directory", end.entries), count.to_string()));
    }
    check_extents(source, extents, end.start)?;
    Ok(entries)
}

/// Checks that entries (local header and data) overlap neither one another nor the directory. A zip with overlaps can
/// decode to many times its possible size.
fn check_extents(source: &Source, mut extents: Vec<(u64, u64)>, limit: u64) -> Result<(), ReadError> {
    extents.sort_unstable();
    let nexts = extents.iter().skip(1).map(|(start, _)| *start).chain([limit]);
    for ((start, end), next) in extents.iter().zip(nexts) {
        if *end > next {
            let place = source.place().at_stored_byte(*start);
            let expected = format!("an entry that ends before byte {next}");
            return Err(ReadError::corrupt(place, expected, format!("one that ends at byte {end}")));
        }
    }
    Ok(())
}

async fn find_end(source: &Source) -> Result<DirectoryBounds, ReadError> {
    let tail_bytes = (END64_LOCATOR_BYTES + END_BYTES + COMMENT_LIMIT_BYTES) as u64;
    let tail_start = source.len().saturating_sub(tail_bytes);
    let tail = source.read(tail_start..source.len()).await?;
    let cut =
        || ReadError::truncated(source.place().at_stored_byte(source.len()), "the directory of the zip at its end");
    let at = (0..tail.len()).rev().find(|at| is_end(&tail, *at)).ok_or_else(cut)?;
    let mut fields = FieldReader(tail.split_at(at).1);
    fields.skip(4);
    let (disk, start_disk) = (fields.u16(), fields.u16());
    let (entries, size, start) = (fields.skip(2).u16(), fields.u32(), fields.u32());
    let end_at = tail_start + at as u64;
    let locator = at.checked_sub(END64_LOCATOR_BYTES).and_then(|from| tail.get(from..at));
    let locator = locator.filter(|locator| locator.starts_with(&END64_LOCATOR_SIGNATURE));
    let (end, limit) = match locator {
        Some(locator) => {
            let end64_at = FieldReader(locator).skip(8).u64();
            (read_zip64_end(source, end64_at, end_at).await?, end64_at)
        }
        None if disk != start_disk || (disk != 0 && disk != u16::MAX) => return Err(split(source)),
        None => {
            let (start, size) = (u64::from(start), u64::from(size));
            (DirectoryBounds { start, size, entries: u64::from(entries), exact: false }, end_at)
        }
    };
    if end.start.checked_add(end.size).is_none_or(|directory_end| directory_end > limit) {
        let expected = format!("a directory that ends before byte {limit}");
        let found = format!("one of {} bytes at byte {}", end.size, end.start);
        return Err(ReadError::corrupt(source.place().at_stored_byte(end_at), expected, found));
    }
    Ok(end)
}

/// Returns whether the end record begins here: its comment must end where the file ends.
fn is_end(tail: &[u8], at: usize) -> bool {
    let record = tail.split_at(at).1;
    record.starts_with(&END_SIGNATURE) && record.len() >= END_BYTES && {
        let comment_bytes = FieldReader(record).skip(END_BYTES - 2).u16();
        record.len() == END_BYTES + usize::from(comment_bytes)
    }
}

async fn read_zip64_end(source: &Source, at: u64, before: u64) -> Result<DirectoryBounds, ReadError> {
    let place = source.place().at_stored_byte(at);
    let corrupt = |found: &str| ReadError::corrupt(place.clone(), "the end record of a zip64 directory", found);
    if at.checked_add(END64_BYTES as u64).is_none_or(|end| end > before) {
        return Err(corrupt("an offset after the end of the directory"));
    }
    let record = source.read(at..at + END64_BYTES as u64).await?;
    if !record.starts_with(&END64_SIGNATURE) {
        return Err(corrupt("something else"));
    }
    let mut fields = FieldReader(&record);
    let (disk, start_disk) = (fields.skip(16).u32(), fields.u32());
    if disk != start_disk {
        return Err(split(source));
    }
    let (entries, size, start) = (fields.skip(8).u64(), fields.u64(), fields.u64());
    Ok(DirectoryBounds { start, size, entries, exact: true })
}

fn split(source: &Source) -> ReadError {
    ReadError::unsupported(source.place(), "a zip that is split over several files", "join the parts")
}

/// One entry of the directory.
struct DirectoryEntry {
    /// `None` for a folder.
    entry: Option<Entry>,
    /// First byte of the local header, and the earliest byte at which the data can end.
    extent: (u64, u64),
}

struct DirectoryReader<'a> {
    source: &'a Source,
    stream: StreamReader<SourceStream, Bytes>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl<'a> DirectoryReader<'a> {
    fn new(source: &'a Source, end: DirectoryBounds) -> Self {
        let range = end.start..end.start + end.size;
        let stream = StreamReader::new(source.open(range.clone()));
        Self { source, stream, at: range.start, end: range.end, buffer: Vec::new() }
    }

    async fn next(&mut self) -> Result<Option<DirectoryEntry>, ReadError> {
        if self.at == self.end {
            return Ok(None);
        }
        let place = self.source.place().at_stored_byte(self.at);
        let mut head = [0; FILE_BYTES];
        self.take(FILE_BYTES, &place).await?;
        head.copy_from_slice(&self.buffer);
        if !head.starts_with(&FILE_SIGNATURE) {
            return Err(ReadError::corrupt(place, "an entry of the zip's directory", signature(&head)));
        }
        let mut lengths = FieldReader(&head);
        let lengths = lengths.skip(28);
        let (name, extra, comment) = (lengths.u16(), lengths.u16(), lengths.u16());
        self.take(usize::from(name) + usize::from(extra) + usize::from(comment), &place).await?;
        let (name, rest) = self.buffer.split_at(usize::from(name));
        let (extra, _) = rest.split_at(usize::from(extra));
        parse_file(&head, name, extra, place).map(Some)
    }

    /// Reads this number of bytes into the buffer.
    async fn take(&mut self, bytes: usize, place: &Place) -> Result<(), ReadError> {
        let left = self.end - self.at;
        if bytes as u64 > left {
            let found = format!("only {left} of them within the directory");
            return Err(ReadError::corrupt(place.clone(), format!("{bytes} bytes of an entry"), found));
        }
        self.buffer.resize(bytes, 0);
        self.stream.read_exact(&mut self.buffer).await?;
        self.at += bytes as u64;
        Ok(())
    }
}

fn parse_file(head: &[u8], name: &[u8], extra: &[u8], place: Place) -> Result<DirectoryEntry, ReadError> {
    let mut fields = FieldReader(head);
    let (flags, method) = (fields.skip(8).u16(), fields.u16());
    let crc32 = fields.skip(4).u32();
    let (compressed_size, size) = (fields.u32(), fields.u32());
    let disk = fields.skip(6).u16();
    let offset = fields.skip(6).u32();
    let name_text = if flags & FLAG_UTF8 == 0 { from_cp437(name) } else { String::from_utf8_lossy(name).into_owned() };

    // The zip64 field holds, in this order, the numbers that do not fit into 32 bits.
    // Without the field, a number that needs it is an error below.
    let mut wide = FieldReader(zip64_extra(extra).unwrap_or_default());
    let mut widen = |narrow: u32| {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        (wide.0.len() >= 8).then(|| wide.u64())
    };
    let place = Place { entry: Some(name_text.clone()), ..place };
    let missing = || ReadError::corrupt(place.clone(), "the 64-bit sizes of an entry", "none");
    let size = widen(size).ok_or_else(missing)?;
    let compressed_size = widen(compressed_size).ok_or_else(missing)?;
    let offset = widen(offset).ok_or_else(missing)?;

    let end =
        offset.checked_add(LOCAL_HEADER_BYTES + name.len() as u64).and_then(|end| end.checked_add(compressed_size));
    let end =
        end.ok_or_else(|| ReadError::corrupt(place.clone(), "an entry within the zip", "one of more than 2^64 bytes"))?;
    let unsupported = reason(flags, method, disk, (size, compressed_size));
    let compression = match method {
        METHOD_DEFLATE => Compression::Deflate,
        METHOD_ZSTD => Compression::Zstd,
        _ => Compression::Stored,
    };
    let is_folder = name.ends_with(b"/");
    let entry = Entry {
        name: Some(name_text),
        compression,
        offset,
        compressed_size,
        size: Some(size),
        crc32: Some(crc32),
        encoding: Encoding::default(),
        unsupported,
    };
    Ok(DirectoryEntry { entry: (!is_folder).then_some(entry), extent: (offset, end) })
}

/// Formats the first four bytes of a record for a message.
fn signature(record: &[u8]) -> String {
    format!("{:02x?}", record.get(..4).unwrap_or(record))
}

/// Returns the reason why an entry cannot be read, if there is one.
fn reason(flags: u16, method: u16, disk: u16, (size, compressed_size): (u64, u64)) -> Option<String> {
    if flags & FLAG_ENCRYPTED != 0 {
        return Some("it is encrypted: pack it without a password".to_owned());
    }
    if disk != 0 && disk != u16::MAX {
        return Some("it is in another part of a split zip: join the parts".to_owned());
    }
    match method {
        0 if size == compressed_size => None,
        0 => Some(format!("it is stored, but its sizes differ: {compressed_size} bytes and {size} bytes decoded")),
        METHOD_DEFLATE | METHOD_ZSTD => None,
        9 => Some("it is compressed with deflate64: use deflate".to_owned()),
        other => Some(format!("it is compressed with method {other}: use deflate")),
    }
}

fn zip64_extra(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = extra.split_first_chunk::<4>()?;
        let mut fields = FieldReader(head);
        let (id, length) = (fields.u16(), usize::from(fields.u16()));
        let (data, rest) = rest.split_at_checked(length)?;
        if id == ZIP64_EXTRA {
            return Some(data);
        }
        extra = rest;
    }
}

/// Returns the first byte of the data of an entry, by its local header.
pub(super) async fn data_start(source: &Source, entry: &Entry) -> Result<u64, ReadError> {
    let place = Place { entry: entry.name.clone(), ..source.place().at_stored_byte(entry.offset) };
    let head = source.read(entry.offset..entry.offset.saturating_add(LOCAL_HEADER_BYTES)).await?;
    if !head.starts_with(&LOCAL_SIGNATURE) {
        return Err(ReadError::corrupt(place, "the local header of an entry", signature(&head)));
    }
    let mut fields = FieldReader(&head);
    let (name, extra) = (fields.skip(26).u16(), fields.u16());
    let start = entry.offset + LOCAL_HEADER_BYTES + u64::from(name) + u64::from(extra);
    match start.checked_add(entry.compressed_size) {
        Some(end) if end <= source.len() => Ok(start),
        _ => Err(ReadError::truncated(place, format!("{} bytes of an entry", entry.compressed_size))),
    }
}

/// The upper half of code page 437, the encoding of names without the UTF-8 flag.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn from_cp437(name: &[u8]) -> String {
    let decode = |byte: &u8| match byte.checked_sub(128) {
        None => char::from(*byte),
        Some(upper) => CP437.chars().nth(usize::from(upper)).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    name.iter().map(decode).collect()
}

#[cfg(test)]
pub(super) mod tests;
