//! The directory of a zip, read by ranges and streamed, by the `.ZIP File Format Specification` (APPNOTE) 6.3.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::entry::{Compression, Entry};
use super::error::{Place, ReadError};
use super::source::{Source, SourceStream};

/// Entries of an archive. A Portal archive has three; each becomes part of the plan, which is held in memory.
const ENTRIES_LIMIT: usize = 10_000;

/// Bytes of an archive's directory: 800 for each of [`ENTRIES_LIMIT`] entries. Bounds the names held in memory.
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

/// Fields of a record, little endian, one after the other. What lies behind the end reads as zero, so that a record is
/// checked for its length once and not at every field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }

    fn skip(&mut self, bytes: usize) -> &mut Self {
        self.0 = self.0.get(bytes..).unwrap_or_default();
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

/// Where the directory lies.
#[derive(Debug, Clone, Copy)]
struct End {
    start: u64,
    size: u64,
    entries: u64,
    /// Whether `entries` is exact, and not modulo 65,536.
    exact: bool,
}

/// The files of the archive, in the order of its directory, without its folders.
pub(super) async fn directory(source: &Source) -> Result<Vec<Entry>, ReadError> {
    let end = find_end(source).await?;
    if end.size > DIRECTORY_LIMIT_BYTES {
        let found = format!("a zip with a directory of {} bytes", end.size);
        return Err(ReadError::unsupported(source.place(), found, "split it: at most 8 MiB of directory are read"));
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

/// Local header and data of two entries may not lie over one another, nor over the directory: a zip that does so decodes to
/// many times what it could hold.
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

async fn find_end(source: &Source) -> Result<End, ReadError> {
    let tail_bytes = (END64_LOCATOR_BYTES + END_BYTES + COMMENT_LIMIT_BYTES) as u64;
    let tail_start = source.len().saturating_sub(tail_bytes);
    let tail = source.read(tail_start..source.len()).await?;
    let cut =
        || ReadError::truncated(source.place().at_stored_byte(source.len()), "the directory of the zip at its end");
    let at = (0..tail.len()).rev().find(|at| is_end(&tail, *at)).ok_or_else(cut)?;
    let mut fields = Fields(tail.get(at..).unwrap_or_default());
    fields.skip(4);
    let (disk, start_disk) = (fields.u16(), fields.u16());
    let (entries, size, start) = (fields.skip(2).u16(), fields.u32(), fields.u32());
    let end_at = tail_start + at as u64;
    let locator = at.checked_sub(END64_LOCATOR_BYTES).and_then(|from| tail.get(from..at));
    let locator = locator.filter(|locator| locator.starts_with(&END64_LOCATOR_SIGNATURE));
    let (end, limit) = match locator {
        Some(locator) => {
            let end64_at = Fields(locator).skip(8).u64();
            (find_end64(source, end64_at, end_at).await?, end64_at)
        }
        None if disk != start_disk || (disk != 0 && disk != u16::MAX) => return Err(split(source)),
        None => {
            let (start, size) = (u64::from(start), u64::from(size));
            (End { start, size, entries: u64::from(entries), exact: false }, end_at)
        }
    };
    if end.start.checked_add(end.size).is_none_or(|directory_end| directory_end > limit) {
        let expected = format!("a directory that ends before byte {limit}");
        let found = format!("one of {} bytes at byte {}", end.size, end.start);
        return Err(ReadError::corrupt(source.place().at_stored_byte(end_at), expected, found));
    }
    Ok(end)
}

/// Whether the end record begins here: its comment must reach the end of the file.
fn is_end(tail: &[u8], at: usize) -> bool {
    let Some(record) = tail.get(at..) else { return false };
    let comment = Fields(record).skip(END_BYTES - 2).u16();
    record.starts_with(&END_SIGNATURE) && record.len() == END_BYTES + usize::from(comment)
}

async fn find_end64(source: &Source, at: u64, before: u64) -> Result<End, ReadError> {
    let place = source.place().at_stored_byte(at);
    let corrupt = |found: &str| ReadError::corrupt(place.clone(), "the end record of a zip64 directory", found);
    if at.checked_add(END64_BYTES as u64).is_none_or(|end| end > before) {
        return Err(corrupt("an offset behind the end of the directory"));
    }
    let record = source.read(at..at + END64_BYTES as u64).await?;
    if !record.starts_with(&END64_SIGNATURE) {
        return Err(corrupt("something else"));
    }
    let mut fields = Fields(&record);
    let (disk, start_disk) = (fields.skip(16).u32(), fields.u32());
    if disk != start_disk {
        return Err(split(source));
    }
    let (entries, size, start) = (fields.skip(8).u64(), fields.u64(), fields.u64());
    Ok(End { start, size, entries, exact: true })
}

fn split(source: &Source) -> ReadError {
    ReadError::unsupported(source.place(), "a zip that is split over several files", "join its parts")
}

/// One file of the directory.
struct File {
    /// None for a folder.
    entry: Option<Entry>,
    /// First byte of its local header, and the least that its data may end at.
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
    fn new(source: &'a Source, end: End) -> Self {
        let range = end.start..end.start + end.size;
        let stream = StreamReader::new(source.open(range.clone()));
        Self { source, stream, at: range.start, end: range.end, buffer: Vec::new() }
    }

    async fn next(&mut self) -> Result<Option<File>, ReadError> {
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
        let mut lengths = Fields(&head);
        let lengths = lengths.skip(28);
        let (name, extra, comment) = (lengths.u16(), lengths.u16(), lengths.u16());
        self.take(usize::from(name) + usize::from(extra) + usize::from(comment), &place).await?;
        let (name, rest) = self.buffer.split_at_checked(usize::from(name)).unwrap_or_default();
        let extra = rest.get(..usize::from(extra)).unwrap_or_default();
        parse_file(&head, name, extra, place).map(Some)
    }

    /// Reads so many bytes into the buffer.
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

fn parse_file(head: &[u8], name: &[u8], extra: &[u8], place: Place) -> Result<File, ReadError> {
    let mut fields = Fields(head);
    let (flags, method) = (fields.skip(8).u16(), fields.u16());
    let crc32 = fields.skip(4).u32();
    let (compressed_size, size) = (fields.u32(), fields.u32());
    let disk = fields.skip(6).u16();
    let offset = fields.skip(6).u32();
    let name_text = if flags & FLAG_UTF8 == 0 { from_cp437(name) } else { String::from_utf8_lossy(name).into_owned() };

    // The zip64 field holds, in this order, those of them that do not fit where they belong.
    let mut wide = Fields(zip64_extra(extra).unwrap_or_default());
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
        unsupported,
    };
    Ok(File { entry: (!is_folder).then_some(entry), extent: (offset, end) })
}

/// The first four bytes of a record, as shown to people.
fn signature(record: &[u8]) -> String {
    format!("{:02x?}", record.get(..4).unwrap_or(record))
}

/// Why an entry cannot be read.
fn reason(flags: u16, method: u16, disk: u16, (size, compressed_size): (u64, u64)) -> Option<String> {
    if flags & FLAG_ENCRYPTED != 0 {
        return Some("it is encrypted: pack it without a password".to_owned());
    }
    if disk != 0 && disk != u16::MAX {
        return Some("it lies in another part of a split zip: join the parts".to_owned());
    }
    match method {
        0 if size == compressed_size => None,
        0 => Some(format!("it is stored, yet {compressed_size} bytes shall decode to {size}")),
        METHOD_DEFLATE | METHOD_ZSTD => None,
        9 => Some("it is packed by deflate64: pack it by deflate".to_owned()),
        other => Some(format!("it is packed by method {other}: pack it by deflate")),
    }
}

fn zip64_extra(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = extra.split_first_chunk::<4>()?;
        let mut fields = Fields(head);
        let (id, length) = (fields.u16(), usize::from(fields.u16()));
        let (data, rest) = rest.split_at_checked(length)?;
        if id == ZIP64_EXTRA {
            return Some(data);
        }
        extra = rest;
    }
}

/// First byte of an entry's data, by its local header.
pub(super) async fn data_start(source: &Source, entry: &Entry) -> Result<u64, ReadError> {
    let place = Place { entry: entry.name.clone(), ..source.place().at_stored_byte(entry.offset) };
    let head = source.read(entry.offset..entry.offset.saturating_add(LOCAL_HEADER_BYTES)).await?;
    if !head.starts_with(&LOCAL_SIGNATURE) {
        return Err(ReadError::corrupt(place, "the local header of an entry", signature(&head)));
    }
    let mut fields = Fields(&head);
    let (name, extra) = (fields.skip(26).u16(), fields.u16());
    let start = entry.offset + LOCAL_HEADER_BYTES + u64::from(name) + u64::from(extra);
    match start.checked_add(entry.compressed_size) {
        Some(end) if end <= source.len() => Ok(start),
        _ => Err(ReadError::truncated(place, format!("{} bytes of an entry", entry.compressed_size))),
    }
}

/// The upper half of code page 437, in which the names of a zip are that does not say UTF-8.
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
