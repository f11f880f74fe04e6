//! The parts of documents as bytes of the file: escaped, with names and quotes.

use std::fmt::Write;

use crate::json::{escaped, escaped_in_ascii};
use crate::products::Product;
use crate::random::Random;
use crate::tables::{HARD_OPERATIONS, Issuer, OPERATIONS, Place, Recipient, Tables};
use crate::text::{digits, last_digit};

/// Streets and districts of addresses.
const STREETS: [(&str, &str); 8] = [
    ("AVENIDA BRASIL", "CENTRO"),
    ("RUA SETE DE SETEMBRO", "CENTRO"),
    ("RUA DAS PALMEIRAS", "JARDIM AMÉRICA"),
    ("RODOVIA BR-101 KM 12", "DISTRITO INDUSTRIAL"),
    ("RUA JOSÉ BONIFÁCIO", "SÃO FRANCISCO"),
    ("AVENIDA GETÚLIO VARGAS", "BELA VISTA"),
    ("TRAVESSA D'ÁGUA", "VILA NOVA"),
    ("ALAMEDA SANTOS DUMONT", "AEROPORTO"),
];

const COMPLEMENTS: [&str; 4] = ["SALA 12", "GALPÃO \"B\"", "BLOCO A\\LOJA 3", "2º ANDAR"];

/// The tax regime of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Simples Nacional.
    Simplified,
    Normal,
    /// A rural producer with a CPF.
    Producer,
}

/// The ICMS treatment of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Taxed,
    /// The manufacturer has paid the tax already.
    Substituted,
    Untaxed,
}

#[derive(Debug)]
pub(crate) struct IssuerParts {
    pub(crate) regime: Regime,
    pub(crate) place: Place,
    /// `"CNPJ": "…"`
    pub(crate) tax_id: Vec<u8>,
    /// `, "xNome": …`, up to the brace that closes `emit`.
    pub(crate) rest: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct RecipientParts {
    pub(crate) state: &'static str,
    /// `"dest": {…}`
    pub(crate) all: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct ProductParts {
    pub(crate) treatment: Treatment,
    /// `"cProd": …`, up to the CFOP.
    pub(crate) to_cfop: Vec<u8>,
    pub(crate) cfop: &'static [u8; 3],
    /// `", "uCom": "KG", "qCom": "`
    pub(crate) to_quantity: Vec<u8>,
    /// `", "cEANTrib": …`, up to the taxed quantity.
    pub(crate) to_taxed_quantity: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct OperationParts {
    pub(crate) text: Vec<u8>,
    pub(crate) is_return: bool,
    pub(crate) is_paid: bool,
}

/// The parts of documents.
#[derive(Debug)]
pub(crate) struct Fragments {
    pub(crate) issuers: Vec<IssuerParts>,
    pub(crate) recipients: Vec<RecipientParts>,
    pub(crate) products: Vec<ProductParts>,
    pub(crate) hard_products: Vec<ProductParts>,
    pub(crate) operations: Vec<OperationParts>,
}

impl Fragments {
    pub(crate) fn new(seed: u64, tables: &Tables) -> Self {
        // Stream numbers far from those of records, and next to those of the tables.
        let random = |at: usize, stream| Random::new(seed, u64::try_from(at).unwrap_or_default(), stream);
        let issuer = |(at, issuer)| IssuerParts::new(issuer, Escape::of(at), &mut random(at, u64::MAX - 2));
        let recipient = |(at, recipient)| RecipientParts::new(recipient, Escape::of(at), &mut random(at, u64::MAX - 3));
        let products = |products: &[Product]| products.iter().enumerate().map(ProductParts::new).collect();
        Self {
            issuers: tables.issuers.iter().enumerate().map(issuer).collect(),
            recipients: tables.recipients.iter().enumerate().map(recipient).collect(),
            products: products(&tables.products),
            hard_products: products(&tables.hard_products),
            operations: OPERATIONS.iter().chain(&HARD_OPERATIONS).map(|text| OperationParts::new(text)).collect(),
        }
    }
}

/// Which characters are escaped.
#[derive(Debug, Clone, Copy)]
enum Escape {
    Accents,
    OnlyWhatMust,
}

impl Escape {
    /// Returns the escaping of text number `at`. One in four has its accents escaped.
    const fn of(at: usize) -> Self {
        if at % 4 == 1 { Self::Accents } else { Self::OnlyWhatMust }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Accents => escaped_in_ascii(text),
            Self::OnlyWhatMust => escaped(text),
        }
    }

    /// Returns members as `"a": "1", "b": "2"`, without those that have no value.
    fn members(self, members: &[(&str, &str)]) -> String {
        let member = |(name, value): &(&str, &str)| format!("\"{name}\": \"{}\"", self.text(value));
        let members: Vec<String> = members.iter().filter(|(_, value)| !value.is_empty()).map(member).collect();
        members.join(", ")
    }

    fn address(self, place: Place, random: &mut Random) -> String {
        let (street, district) = random.pick(&STREETS);
        let number = (1 + random.below(2_400)).to_string();
        let complement = if random.below(4) == 0 { random.pick(&COMPLEMENTS) } else { "" };
        let postcode = format!("{}{:03}", place.postcode, random.below(1_000));
        let phone = format!("{}3{:07}", place.area_code, random.below(10_000_000));
        self.members(&[
            ("xLgr", street),
            ("nro", &number),
            ("xCpl", complement),
            ("xBairro", district),
            ("cMun", place.city_code),
            ("xMun", place.city),
            ("UF", place.state),
            ("CEP", &postcode),
            ("cPais", "1058"),
            ("xPais", "BRASIL"),
            ("fone", &phone),
        ])
    }
}

impl IssuerParts {
    fn new(issuer: &Issuer, escape: Escape, random: &mut Random) -> Self {
        let is_small = issuer.name.ends_with(" ME") || issuer.name.ends_with(" EPP");
        let (regime, code) = match (issuer.is_person, is_small) {
            (true, _) => (Regime::Producer, "3"),
            (false, true) => (Regime::Simplified, "1"),
            (false, false) => (Regime::Normal, "3"),
        };
        let in_key = String::from_utf8_lossy(&issuer.in_key);
        // A CPF follows three zeros.
        let tax_id = match in_key.get(3..) {
            Some(cpf) if issuer.is_person => format!("\"CPF\": \"{cpf}\""),
            _ => format!("\"CNPJ\": \"{in_key}\""),
        };
        let registration = if issuer.is_person { "ISENTO" } else { &issuer.registration };
        let trade_name = if random.below(2) == 0 { issuer.name.as_str() } else { "" };
        let names = escape.members(&[("xNome", &issuer.name), ("xFant", trade_name)]);
        let address = escape.address(issuer.place, random);
        let codes = escape.members(&[("IE", registration), ("CRT", code)]);
        let rest = format!(", {names}, \"enderEmit\": {{{address}}}, {codes}").into_bytes();
        Self { regime, place: issuer.place, tax_id: tax_id.into_bytes(), rest }
    }
}

impl RecipientParts {
    fn new(recipient: &Recipient, escape: Escape, random: &mut Random) -> Self {
        let registration = (100_000_000 + random.below(900_000_000)).to_string();
        let (indicator, registration) = match recipient.indicator {
            "CONTRIBUINTE ICMS" => ("1", registration.as_str()),
            "CONTRIBUINTE ISENTO" => ("2", ""),
            _ => ("9", ""),
        };
        let email = if random.below(2) == 0 { "nfe@compras.example.org" } else { "" };
        let names = escape.members(&[("CNPJ", &recipient.tax_id), ("xNome", &recipient.name)]);
        let address = escape.address(recipient.place, random);
        let codes = escape.members(&[("indIEDest", indicator), ("IE", registration), ("email", email)]);
        let all = format!("\"dest\": {{{names}, \"enderDest\": {{{address}}}, {codes}}}").into_bytes();
        Self { state: recipient.place.state, all }
    }
}

impl ProductParts {
    fn new((at, product): (usize, &Product)) -> Self {
        let treatment = match product.cfop {
            b"405" | b"656" => Treatment::Substituted,
            b"933" => Treatment::Untaxed,
            _ => Treatment::Taxed,
        };
        let bar_code = match at % 8 {
            0 => "null".to_owned(),
            1 | 4 => "\"SEM GTIN\"".to_owned(),
            _ => format!("\"{}\"", bar_code(at)),
        };
        let escape = Escape::of(at);
        let code = format!("{:06}", 100 + at * 7);
        let texts = escape.members(&[("xProd", &product.description), ("NCM", product.ncm)]);
        let mut to_cfop = format!("\"cProd\": \"{code}\", \"cEAN\": {bar_code}, {texts}");
        if treatment == Treatment::Substituted {
            // Writing into a `String` never fails.
            write!(to_cfop, ", \"CEST\": \"{:07}\"", 1_000_100 + at).unwrap_or_default();
        }
        to_cfop.push_str(", \"CFOP\": \"");
        let unit = String::from_utf8_lossy(&product.unit);
        Self {
            treatment,
            to_cfop: to_cfop.into_bytes(),
            cfop: product.cfop,
            to_quantity: format!("\", \"uCom\": \"{unit}\", \"qCom\": \"").into_bytes(),
            to_taxed_quantity: format!("\", \"cEANTrib\": {bar_code}, \"uTrib\": \"{unit}\", \"qTrib\": \"")
                .into_bytes(),
        }
    }
}

impl OperationParts {
    fn new(text: &str) -> Self {
        let is_return = text.starts_with("DEVOLUÇÃO");
        Self { text: escaped(text).into_bytes(), is_return, is_paid: !is_return && !text.contains("REMESSA") }
    }
}

/// Returns a GTIN-13 of GS1 Brasil (prefix 789): weights 1 and 3 in turn, and a check digit that completes a multiple
/// of ten.
fn bar_code(at: usize) -> String {
    let mut code = b"789".to_vec();
    code.extend_from_slice(&digits::<9>(100_000_000 + 7_919 * u64::try_from(at).unwrap_or_default()));
    let value = |(place, digit): (usize, &u8)| u64::from(digit - b'0') * if place % 2 == 0 { 1 } else { 3 };
    let sum: u64 = code.iter().enumerate().map(value).sum();
    code.push(last_digit(10 - sum % 10));
    String::from_utf8(code).unwrap_or_default()
}
