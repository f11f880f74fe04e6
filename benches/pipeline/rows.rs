//! The columns of the Portal's invoices for both simple designs, and the attributes that they write: those of the
//! engine, without its checks.

/// A row of the Portal's invoices with unchanged values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns<'r>(pub [&'r str; COLUMNS]);

/// Columns of the Portal's invoices.
pub const COLUMNS: usize = 21;

/// Columns that go unchanged into the item, with their attribute names.
pub const TEXTS: [(usize, &str); 4] = [(2, "series"), (3, "number"), (4, "op"), (6, "st_text")];
/// Columns of the issuer.
pub const ISSUER: [(usize, &str); 5] = [(8, "doc"), (9, "name"), (10, "ie"), (11, "uf"), (12, "city")];
/// Columns of the recipient.
pub const RECIPIENT: [(usize, &str); 3] = [(13, "doc"), (14, "name"), (15, "uf")];
/// Extra columns.
pub const EXTRA: [(usize, &str); 4] =
    [(16, "recipient_ie_indicator"), (17, "destination"), (18, "final_consumer"), (19, "buyer_presence")];

/// Number of shards of each index.
const SHARDS: u8 = 8;

/// The values computed from the columns.
pub struct Made {
    pub at: String,
    pub status_at: String,
    pub partition: String,
    /// Keys of the indexes: by issuer, recipient and month.
    pub index_keys: [(&'static str, String); 6],
}

impl Columns<'_> {
    /// Code of the model, the text before its description.
    pub fn model(&self) -> &str {
        self.0[1].split_once(" - ").map_or(self.0[1], |(code, _)| code)
    }

    /// Integer part and cents of the total.
    pub fn total(&self) -> (&str, &str) {
        self.0[20].split_once(',').unwrap_or((self.0[20], "00"))
    }

    /// Number of the shard, from the key.
    pub fn shard(&self) -> u8 {
        self.0[0].bytes().fold(0_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte)) % SHARDS
    }

    pub fn make(&self) -> Made {
        let id = self.0[0];
        let shard = self.shard();
        let at = turned(self.0[5]);
        let (day, month) = (at.replace(['-', 'T', ':'], ""), at.get(..7).unwrap_or_default().replace('-', ""));
        let sort = format!("{day}#{id}");
        Made {
            partition: format!("N#{id}"),
            status_at: turned(self.0[7]),
            index_keys: [
                ("IK", format!("I#{}#{shard}", self.0[8])),
                ("IS", sort.clone()),
                ("RK", format!("R#{}#{shard}", self.0[13])),
                ("RS", sort),
                ("MK", format!("M#{month}#{shard}")),
                ("MS", format!("{}#{id}", day.get(6..).unwrap_or_default())),
            ],
            at,
        }
    }
}

/// Converts `07/08/2024 10:49:10` to `2024-08-07T10:49:10`.
fn turned(date: &str) -> String {
    let part = |range| date.get(range).unwrap_or_default();
    format!("{}-{}-{}T{}", part(6..10), part(3..5), part(0..2), part(11..19))
}
