//! The parts of records as bytes of the file: escaped, in windows-1252, with the quotes between fields.

use crate::encoding::{encoded, field};
use crate::event_kinds::EventKind;
use crate::names::NAMES;
use crate::options::{LayoutVersion, PortalFile};
use crate::products::Product;
use crate::random::Random;
use crate::text::{digits, last_digit};
use notaflux_invoice::check_digit::{Weights, check_digit};

/// Index of the cancellation among the events.
pub(crate) const CANCELLATION: usize = 2;
/// Index of the denial among the events.
pub(crate) const DENIAL: usize = 5;
/// Index of the entry for no event among the events.
pub(crate) const NO_EVENT: usize = 6;

const ISSUERS: u64 = 2_000;
const RECIPIENTS: u64 = 400;

const HEADER_TO_ISSUE: [&str; 6] =
    ["CHAVE DE ACESSO", "MODELO", "SÉRIE", "NÚMERO", "NATUREZA DA OPERAÇÃO", "DATA EMISSÃO"];

const HEADER_OF_LATEST_EVENT: [&str; 2] = ["EVENTO MAIS RECENTE", "DATA/HORA EVENTO MAIS RECENTE"];

const HEADER_OF_EVENT: [&str; 4] = ["EVENTO", "DATA/HORA EVENTO", "DESCRIÇÃO EVENTO", "MOTIVO EVENTO"];

const HEADER_OF_ISSUER: [&str; 5] =
    ["CPF/CNPJ Emitente", "RAZÃO SOCIAL EMITENTE", "INSCRIÇÃO ESTADUAL EMITENTE", "UF EMITENTE", "MUNICÍPIO EMITENTE"];

const HEADER_OF_AGENCY: [&str; 4] = [
    "CÓDIGO ÓRGÃO SUPERIOR DESTINATÁRIO",
    "ÓRGÃO SUPERIOR DESTINATÁRIO",
    "CÓDIGO ÓRGÃO DESTINATÁRIO",
    "ÓRGÃO DESTINATÁRIO",
];

const HEADER_OF_RECIPIENT: [&str; 7] = [
    "CNPJ DESTINATÁRIO",
    "NOME DESTINATÁRIO",
    "UF DESTINATÁRIO",
    "INDICADOR IE DESTINATÁRIO",
    "DESTINO DA OPERAÇÃO",
    "CONSUMIDOR FINAL",
    "PRESENÇA DO COMPRADOR",
];

const HEADER_OF_TOTAL: [&str; 1] = ["VALOR NOTA FISCAL"];

const HEADER_OF_LINE: [&str; 9] = [
    "NÚMERO PRODUTO",
    "DESCRIÇÃO DO PRODUTO/SERVIÇO",
    "CÓDIGO NCM/SH",
    "NCM/SH (TIPO DE PRODUTO)",
    "CFOP",
    "QUANTIDADE",
    "UNIDADE",
    "VALOR UNITÁRIO",
    "VALOR TOTAL",
];

/// Cities, with the codes of IBGE. Postcodes (their first five digits) and area codes are those of the city centre.
const PLACES: [Place; 24] = [
    place("SP", "35", "SÃO PAULO", "3550308", "01001", "11"),
    place("SP", "35", "CAMPINAS", "3509502", "13010", "19"),
    place("SP", "35", "SÃO JOSÉ DOS CAMPOS", "3549904", "12210", "12"),
    place("RJ", "33", "RIO DE JANEIRO", "3304557", "20040", "21"),
    place("RJ", "33", "NITERÓI", "3303302", "24020", "21"),
    place("MG", "31", "BELO HORIZONTE", "3106200", "30130", "31"),
    place("MG", "31", "UBERLÂNDIA", "3170206", "38400", "34"),
    place("MG", "31", "POÇOS DE CALDAS", "3151800", "37701", "35"),
    place("DF", "53", "BRASÍLIA", "5300108", "70070", "61"),
    place("GO", "52", "GOIÂNIA", "5208707", "74015", "62"),
    place("PR", "41", "CURITIBA", "4106902", "80010", "41"),
    place("PR", "41", "MARINGÁ", "4115200", "87013", "44"),
    place("SC", "42", "FLORIANÓPOLIS", "4205407", "88010", "48"),
    place("RS", "43", "PORTO ALEGRE", "4314902", "90010", "51"),
    place("RS", "43", "SANTA MARIA", "4316907", "97010", "55"),
    place("BA", "29", "SALVADOR", "2927408", "40020", "71"),
    place("PE", "26", "RECIFE", "2611606", "50010", "81"),
    place("CE", "23", "FORTALEZA", "2304400", "60025", "85"),
    place("PA", "15", "BELÉM", "1501402", "66010", "91"),
    place("AM", "13", "MANAUS", "1302603", "69005", "92"),
    place("MT", "51", "CUIABÁ", "5103403", "78005", "65"),
    place("MS", "50", "CAMPO GRANDE", "5002704", "79002", "67"),
    place("ES", "32", "VITÓRIA", "3205309", "29010", "27"),
    place("RN", "24", "MOSSORÓ", "2408003", "59600", "84"),
];

const TRADES: [&str; 16] = [
    "COMÉRCIO DE MATERIAIS",
    "DISTRIBUIDORA DE MEDICAMENTOS",
    "PAPELARIA",
    "INFORMÁTICA E SERVIÇOS",
    "CONSTRUÇÕES",
    "ALIMENTAÇÃO COLETIVA",
    "EQUIPAMENTOS HOSPITALARES",
    "TUBOS \"PVC\" E CONEXÕES",
    "INDÚSTRIA DE MÓVEIS",
    "TRANSPORTES",
    "GRÁFICA",
    "AUTOPEÇAS",
    "TELECOMUNICAÇÕES",
    "PRODUTOS QUÍMICOS",
    "ELÉTRICA; HIDRÁULICA",
    "COOPERATIVA AGRÍCOLA",
];

const FORMS: [&str; 5] = ["LTDA", "S.A.", "EIRELI - ME", "LTDA - EPP", "COMERCIAL LTDA"];

const AGENCIES: [(&str, &str, &str, &str); 5] = [
    ("26000", "Ministério da Educação", "26232", "Universidade Federal do Planalto"),
    ("36000", "Ministério da Saúde", "36201", "Fundação Exemplo de Saúde"),
    ("52000", "Ministério da Defesa", "52121", "Comando do Exército"),
    ("30000", "Ministério da Justiça e Segurança Pública", "30108", "Departamento de Polícia"),
    ("-1", "Sem informação", "-1", "Sem informação"),
];

const RECIPIENT_NAMES: [&str; 8] = [
    "UNIVERSIDADE FEDERAL",
    "HOSPITAL DE GUARNIÇÃO",
    "BASE AÉREA",
    "INSTITUTO DE EDUCAÇÃO",
    "SUPERINTENDÊNCIA REGIONAL",
    "BATALHÃO DE ENGENHARIA",
    "AGÊNCIA NACIONAL",
    "PREFEITURA DO CAMPUS",
];

const INDICATORS: [&str; 3] = ["NÃO CONTRIBUINTE", "CONTRIBUINTE ISENTO", "CONTRIBUINTE ICMS"];

pub(crate) const OPERATIONS: [&str; 12] = [
    "VENDA DE MERCADORIA ADQUIRIDA OU RECEBIDA DE TERCEIROS",
    "VENDA DE MERCADORIA",
    "VENDA DE PRODUÇÃO DO ESTABELECIMENTO",
    "VENDA INTERESTADUAL",
    "VENDA A ÓRGÃO PÚBLICO",
    "REMESSA EM BONIFICAÇÃO, DOAÇÃO OU BRINDE",
    "REMESSA PARA CONSERTO OU REPARO",
    "DEVOLUÇÃO DE COMPRA",
    "SIMPLES REMESSA",
    "VENDA FORA DO ESTABELECIMENTO",
    "PRESTAÇÃO DE SERVIÇO",
    "OUTRA SAÍDA NÃO ESPECIFICADA",
];

/// Operations with quotes, semicolons and line breaks, which a careless reader parses wrongly.
pub(crate) const HARD_OPERATIONS: [&str; 4] = [
    "VENDA; ENTREGA FUTURA",
    "VENDA DE TUBO 1/2\" PVC",
    "REMESSA POR CONTA E ORDEM\r\nDE TERCEIROS",
    "VENDA \"BALCÃO\"; À VISTA\nSEM FRETE",
];

/// Texts of the latest event, and the number of records in 200 with each.
const EVENTS: [(&str, u64); 7] = [
    ("Autorização de Uso", 186),
    ("Carta de Correção", 4),
    ("Cancelamento da NF-e", 4),
    ("Confirmação da Operação", 2),
    ("Ciência da Operação", 2),
    ("Uso Denegado", 1),
    ("Sem informação", 1),
];

const CONSUMERS: [&str; 2] = ["0 - NORMAL", "1 - CONSUMIDOR FINAL"];

const PRESENCES: [&str; 4] = [
    "0 - NÃO SE APLICA",
    "1 - OPERAÇÃO PRESENCIAL",
    "3 - OPERAÇÃO NÃO PRESENCIAL, TELEATENDIMENTO",
    "9 - OPERAÇÃO NÃO PRESENCIAL, OUTROS",
];

/// All tables of a file.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The model, from the closing quote of the key to the opening quote of the series.
    pub(crate) model: Vec<u8>,
    pub(crate) months: Vec<Month>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) operations: Vec<Vec<u8>>,
    pub(crate) events: Vec<Vec<u8>>,
    /// Destinations, each with the quotes after it.
    pub(crate) within: Vec<u8>,
    pub(crate) between: Vec<u8>,
    pub(crate) consumers: Vec<Vec<u8>>,
    pub(crate) presences: Vec<Vec<u8>>,
    pub(crate) products: Vec<Product>,
    pub(crate) hard_products: Vec<Product>,
    pub(crate) event_kinds: Vec<EventKind>,
}

#[derive(Debug)]
pub(crate) struct Month {
    /// `2401`.
    pub(crate) in_key: [u8; 4],
    /// `/01/2024 `.
    pub(crate) in_date: [u8; 9],
}

/// A city with its codes for addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) state: &'static str,
    pub(crate) state_code: &'static str,
    pub(crate) city: &'static str,
    pub(crate) city_code: &'static str,
    pub(crate) postcode: &'static str,
    pub(crate) area_code: &'static str,
}

#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) is_person: bool,
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) registration: String,
    pub(crate) state_code: [u8; 2],
    /// 14 characters.
    pub(crate) in_key: [u8; 14],
    pub(crate) tax_id: Vec<u8>,
    /// The quote that closes the tax id, name, registration, state, city, and the quote that opens the next field.
    pub(crate) rest: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) place: Place,
    pub(crate) tax_id: String,
    pub(crate) name: String,
    pub(crate) indicator: &'static str,
    /// All its columns, and the quote that opens the next field.
    pub(crate) fields: Vec<u8>,
}

impl Tables {
    pub(crate) fn new(seed: u64, version: LayoutVersion) -> Self {
        // Stream numbers far from those of records.
        let issuer = |at| Issuer::new(at, &mut Random::new(seed, at, u64::MAX));
        let recipient = |at| Recipient::new(version, &mut Random::new(seed, at, u64::MAX - 1));
        let texts = |texts: &[&str]| texts.iter().map(|text| field(text)).collect();
        Self {
            model: encoded("\";\"55 - NF-E EMITIDA EM SUBSTITUIÇÃO AO MODELO 1 OU 1A\";\""),
            months: (0..24).map(Month::new).collect(),
            issuers: (0..ISSUERS).map(issuer).collect(),
            recipients: (0..RECIPIENTS).map(recipient).collect(),
            operations: OPERATIONS.iter().chain(&HARD_OPERATIONS).map(|text| field(text)).collect(),
            events: EVENTS.iter().map(|(text, _)| field(text)).collect(),
            within: encoded("1 - OPERAÇÃO INTERNA\";\""),
            between: encoded("2 - OPERAÇÃO INTERESTADUAL\";\""),
            consumers: texts(&CONSUMERS),
            presences: texts(&PRESENCES),
            products: Product::all(),
            hard_products: Product::hard(),
            event_kinds: EventKind::all(),
        }
    }

    /// Picks an operation. One in fifty is hard to parse.
    pub(crate) fn operation(random: &mut Random) -> usize {
        if random.below(50) == 0 {
            OPERATIONS.len() + random.index(HARD_OPERATIONS.len())
        } else {
            random.index(OPERATIONS.len())
        }
    }

    /// Picks a latest event.
    pub(crate) fn event(random: &mut Random) -> usize {
        let mut draw = random.below(200);
        for (at, (_, share)) in EVENTS.iter().enumerate() {
            if draw < *share {
                return at;
            }
            draw -= share;
        }
        0
    }
}

impl Month {
    /// Returns month `at`, counted from January 2023.
    fn new(at: u64) -> Self {
        let (year, month) = (23 + at / 12, 1 + at % 12);
        let [y1, y2, m1, m2] = digits::<4>(year * 100 + month);
        Self { in_key: [y1, y2, m1, m2], in_date: [b'/', m1, m2, b'/', b'2', b'0', y1, y2, b' '] }
    }
}

impl Issuer {
    fn new(at: u64, random: &mut Random) -> Self {
        let place = random.pick(&PLACES);
        // The first issuer, which has one record in five, is a company.
        let is_person = at % 100 == 99;
        let (in_key, tax_id) = if is_person { person(random) } else { company(random) };
        let name = if is_person {
            format!("PRODUTOR RURAL {} {at}", random.pick(&NAMES))
        } else {
            format!("{} {} {}", random.pick(&TRADES), random.pick(&NAMES), random.pick(&FORMS))
        };
        let registration =
            if is_person { "-1".to_owned() } else { (100_000_000 + random.below(900_000_000)).to_string() };
        let mut rest = b"\";\"".to_vec();
        for text in [name.as_str(), &registration, place.state, place.city] {
            rest.extend_from_slice(&field(text));
            rest.extend_from_slice(b"\";\"");
        }
        let state_code = place.state_code.as_bytes().try_into().unwrap_or(*b"35");
        Self { is_person, place, name, registration, state_code, in_key, tax_id, rest }
    }
}

impl Recipient {
    fn new(version: LayoutVersion, random: &mut Random) -> Self {
        let place = random.pick(&PLACES);
        let agency = random.pick(&AGENCIES);
        let name = format!("{} DE {}", random.pick(&RECIPIENT_NAMES), place.city);
        let (_, tax_id) = company(random);
        let tax_id = String::from_utf8(tax_id).unwrap_or_default();
        let mut texts = Vec::new();
        if version == LayoutVersion::V2 {
            texts.extend([agency.0, agency.1, agency.2, agency.3]);
        }
        let indicator = random.pick(&INDICATORS);
        texts.extend([tax_id.as_str(), &name, place.state, indicator]);
        let mut fields = Vec::new();
        for text in texts {
            fields.extend_from_slice(&field(text));
            fields.extend_from_slice(b"\";\"");
        }
        Self { place, tax_id, name, indicator, fields }
    }
}

const fn place(
    state: &'static str,
    state_code: &'static str,
    city: &'static str,
    city_code: &'static str,
    postcode: &'static str,
    area_code: &'static str,
) -> Place {
    Place { state, state_code, city, city_code, postcode, area_code }
}

/// Returns a CNPJ with right check digits: as in a key, and as in a column.
fn company(random: &mut Random) -> ([u8; 14], Vec<u8>) {
    let mut id = digits::<8>(1_000_000 + random.below(98_000_000)).to_vec();
    id.extend_from_slice(b"000");
    id.push(last_digit(1 + random.below(5)));
    id.push(check_digit(&id, Weights::UP_TO_9));
    id.push(check_digit(&id, Weights::UP_TO_9));
    (id.as_slice().try_into().unwrap_or([b'0'; 14]), id)
}

/// Returns a CPF with right check digits: as in a key, and masked as in a column.
pub(crate) fn person(random: &mut Random) -> ([u8; 14], Vec<u8>) {
    let mut id = digits::<9>(1_000_000 + random.below(998_000_000)).to_vec();
    id.push(check_digit(&id, Weights::RISING));
    id.push(check_digit(&id, Weights::RISING));
    let mut masked = b"***.".to_vec();
    masked.extend(id.iter().skip(3).take(3));
    masked.push(b'.');
    masked.extend(id.iter().skip(6).take(3));
    masked.extend_from_slice(b"-**");
    let mut in_key = [b'0'; 14];
    for (place, digit) in in_key.iter_mut().skip(3).zip(&id) {
        *place = *digit;
    }
    (in_key, masked)
}

/// Returns the header row of a file.
pub(crate) fn header(file: PortalFile, version: LayoutVersion) -> Vec<u8> {
    encoded(&format!("\"{}\"\r\n", columns(file, version).join("\";\"")))
}

/// Returns the names of the columns of a file.
pub(crate) fn columns(file: PortalFile, version: LayoutVersion) -> Vec<&'static str> {
    let agency: &[&'static str] = if version == LayoutVersion::V2 { &HEADER_OF_AGENCY } else { &[] };
    let groups: &[&[&'static str]] = match file {
        PortalFile::Invoices => &[
            &HEADER_TO_ISSUE,
            &HEADER_OF_LATEST_EVENT,
            &HEADER_OF_ISSUER,
            agency,
            &HEADER_OF_RECIPIENT,
            &HEADER_OF_TOTAL,
        ],
        PortalFile::Events => &[&HEADER_TO_ISSUE, &HEADER_OF_EVENT],
        PortalFile::Lines => &[&HEADER_TO_ISSUE, &HEADER_OF_ISSUER, agency, &HEADER_OF_RECIPIENT, &HEADER_OF_LINE],
    };
    groups.concat()
}
