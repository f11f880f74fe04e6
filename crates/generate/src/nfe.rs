//! Documents of NF-e (layout 4.00 of the Manual de Orientação do Contribuinte) as JSON in the form of xmltodict.

mod fragments;

use arrayvec::ArrayVec;

use crate::class::Class;
use crate::flaw::Flaw;
use crate::invoices::{Values, flawed_key};
use crate::json::{JsonForm, cut_short, drop_quote, escaped};
use crate::lines::{LineValues, Lines};
use crate::moment::Moment;
use crate::random::Random;
use crate::records::Records;
use crate::stream;
use crate::tables::{self, Tables, person};
use crate::text::digits;
pub(crate) use fragments::Fragments;
use fragments::{IssuerParts, ProductParts, Regime, Treatment};
use notaflux_invoice::check_digit::{Weights, check_digit};

/// A sale of a company within its state for less than this is an NFC-e.
const CONSUMER_LIMIT_CENTS: u64 = 1_000_000;

/// Rates in hundredths of a percent.
mod rate {
    pub(crate) const ICMS_WITHIN_A_STATE: u64 = 1_800;
    /// From South and Southeast to the other regions and to Espírito Santo (Resolução do Senado 22/1989).
    pub(crate) const ICMS_TO_OTHER_REGIONS: u64 = 700;
    pub(crate) const ICMS_BETWEEN_STATES: u64 = 1_200;
    pub(crate) const PIS: u64 = 165;
    pub(crate) const COFINS: u64 = 760;
    /// About the sum that the law of transparency (12.741/2012) requires on the invoice.
    pub(crate) const ALL_TAXES: u64 = 3_145;
}

const FLAWS: [Flaw; 9] = [
    Flaw::ShortKey,
    Flaw::KeyMonth,
    Flaw::NoKey,
    Flaw::IssuedAt,
    Flaw::NoIssuedAt,
    Flaw::Amount,
    Flaw::LongTaxId,
    Flaw::CutShort,
    Flaw::MissingQuote,
];

const BAD_DATES: [&[u8]; 4] = [b"2024-02-31T10:00:00-03:00", b"31.01.2024, 10h", b"0000-00-00T00:00:00", b"ontem"];
const BAD_AMOUNTS: [&[u8]; 4] = [b"12,3,4", b"1.2.3", b"R$ 10,00", b"abc"];

/// Smallest size of a document in bytes. The defect of a damaged document is within these bytes.
const DOCUMENT_BYTES: u64 = 2_500;

const FIRST_NAMES: [&str; 6] = ["MARIA APARECIDA", "JOSÉ CARLOS", "ANTÔNIA", "LUÍS FERNANDO", "JOÃO", "CONCEIÇÃO"];
const LAST_NAMES: [&str; 5] = ["DA SILVA", "DE OLIVEIRA", "SOUZA", "ARAÚJO", "GONÇALVES"];

/// Remarks, escaped. In some of them accents are escaped too.
const REMARKS: [&str; 6] = [
    r#"Pedido: 4512;Vendedor: 7-\"ZECA\";Arquivo: C:\\NFE\\ENVIO"#,
    r"Endere\u00e7o de entrega: almoxarifado central, das 8h \u00e0s 16h",
    "Conferir a mercadoria no ato do recebimento. Não aceitamos devolução após 7 dias",
    r"Sem reten\u00e7\u00e3o na fonte \u2013 IN RFB 1.234\/2012, art. 4\u00ba",
    r"Dados para pagamento:\nBanco do Brasil\tag. 1234-5\tc\/c 67890-1",
    "Mercadoria destinada a uso e consumo",
];

const SIMPLIFIED_REMARK: &str = "Documento emitido por ME ou EPP optante pelo Simples Nacional. ";

/// Further descriptions of a line, escaped.
const LINE_REMARKS: [&str; 3] =
    [r"Lote 0417\/B - Val. 12\/2026", r#"Embalagem de 3\" x 5\""#, "Garantia de fábrica: 12 meses"];

/// 64 characters of base64.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

type Text<const N: usize> = ArrayVec<u8, N>;

/// One document.
#[derive(Debug)]
struct Document<'g> {
    fragments: &'g Fragments,
    tables: &'g Tables,
    issuer: &'g IssuerParts,
    values: Values,
    lines: Lines,
    key: [u8; 44],
    is_of_consumer: bool,
    is_within_a_state: bool,
    icms_rate: u64,
    freight_cents: u64,
    surcharge_cents: u64,
}

/// Sums over the lines.
#[derive(Debug, Default)]
struct Totals {
    goods: u64,
    base: u64,
    icms: u64,
    pis: u64,
    cofins: u64,
    all_taxes: u64,
}

impl Records {
    /// Writes the document of record `index` of the invoice file.
    pub(crate) fn write_document(&self, index: u64, form: JsonForm, fragments: &Fragments, out: &mut Vec<u8>) {
        let mut random = self.random(index, stream::CLASS);
        let class = self.shares.draw(&mut random);
        let flaw = (class == Class::Bad).then(|| of_form(random.pick(&FLAWS), form));
        let mut random = self.random(index, stream::FLAW);
        let origin = match (class, flaw) {
            (Class::Repeated, _) => self.origin(index),
            (_, Some(flaw)) => self.basis_of_bad(index, flaw, &mut random),
            _ => index,
        };
        let Some(mut document) = Document::new(self, origin, fragments) else { return };
        if class == Class::Repeated {
            let total_cents = document.values.total_cents;
            document.values = self.changed(document.values, origin, index);
            document.surcharge_cents = document.values.total_cents - total_cents;
        }
        let start = out.len();
        document.write(&mut self.random(origin, stream::DOCUMENT), flaw.map(|flaw| (flaw, &mut random)), out);
        let bytes = usize::try_from(random.below(DOCUMENT_BYTES)).unwrap_or_default();
        match flaw {
            Some(Flaw::CutShort) => cut_short(out, start, bytes),
            Some(Flaw::MissingQuote) => drop_quote(out, start, bytes),
            _ => {}
        }
    }
}

/// Returns the flaw, or another one if it would make the whole array invalid.
const fn of_form(flaw: Flaw, form: JsonForm) -> Flaw {
    match (flaw, form) {
        (Flaw::CutShort, JsonForm::Array) => Flaw::NoKey,
        (Flaw::MissingQuote, JsonForm::Array) => Flaw::Amount,
        _ => flaw,
    }
}

impl<'g> Document<'g> {
    fn new(records: &'g Records, index: u64, fragments: &'g Fragments) -> Option<Self> {
        let (values, tables) = (records.values(index), &records.tables);
        let lines = records.lines(index, &values);
        let (issuer, recipient) = (fragments.issuers.get(values.issuer)?, fragments.recipients.get(values.recipient)?);
        let is_within_a_state = values.is_within_a_state(tables);
        let is_of_company = issuer.regime != Regime::Producer;
        let is_sale = fragments.operations.get(values.operation).is_some_and(|operation| operation.is_paid);
        let is_of_consumer = is_of_company && is_sale && is_within_a_state && values.total_cents < CONSUMER_LIMIT_CENTS;
        let goods_cents: u64 = lines.iter().map(|line| line.total_cents()).sum();
        Some(Self {
            fragments,
            tables,
            issuer,
            key: if is_of_consumer { with_model_65(values.key) } else { values.key },
            is_of_consumer,
            is_within_a_state,
            icms_rate: icms_rate(issuer.place.state, recipient.state),
            freight_cents: values.total_cents.saturating_sub(goods_cents),
            surcharge_cents: 0,
            values,
            lines,
        })
    }

    /// Writes the document, with a defect if there is one.
    fn write(&self, random: &mut Random, flaw: Option<(Flaw, &mut Random)>, out: &mut Vec<u8>) {
        let (flaw, bad_date, bad_amount) = match flaw {
            Some((flaw, random)) => (Some(flaw), random.pick(&BAD_DATES), random.pick(&BAD_AMOUNTS)),
            None => (None, BAD_DATES[0], BAD_AMOUNTS[0]),
        };
        let key = flawed_key(&self.key, flaw);
        let issued_at = self.moment(self.values.issued_at);
        let issued_at = match flaw {
            Some(Flaw::IssuedAt) => bad_date,
            Some(Flaw::NoIssuedAt) => &[],
            _ => issued_at.as_slice(),
        };
        let total = amount(self.values.total_cents);
        let stated_total = if flaw == Some(Flaw::Amount) { bad_amount } else { &total };
        put(
            out,
            &[
                br#"{"nfeProc": {"@versao": "4.00", "@xmlns": "http://www.portalfiscal.inf.br/nfe", "#,
                br#""NFe": {"@xmlns": "http://www.portalfiscal.inf.br/nfe", "infNFe": {"@Id": ""#,
                if key.is_empty() { b"" } else { b"NFe" },
                &key,
                br#"", "@versao": "4.00", "#,
            ],
        );
        self.write_identification(issued_at, out);
        self.write_issuer(flaw, out);
        self.write_recipient(random, out);
        let totals = self.write_lines(random, out);
        self.write_totals(&totals, stated_total, out);
        self.write_transport_and_payment(&total, random, out);
        self.write_remarks(&totals, random, out);
        self.write_protocol(&key, random, out);
    }

    fn write_identification(&self, issued_at: &[u8], out: &mut Vec<u8>) {
        let operation = self.fragments.operations.get(self.values.operation);
        let (text, is_return) = operation.map_or((&b""[..], false), |operation| (&operation.text, operation.is_return));
        let code = self.key.get(35..43).unwrap_or_default();
        let last = self.key.get(43..).unwrap_or_default();
        put(out, &[br#""ide": {"cUF": ""#, self.issuer.place.state_code.as_bytes(), br#"", "cNF": ""#, code]);
        put(out, &[br#"", "natOp": ""#, text, br#"", "mod": ""#, if self.is_of_consumer { b"65" } else { b"55" }]);
        put(out, &[br#"", "serie": ""#, &number(self.values.series), br#"", "nNF": ""#, &number(self.values.number)]);
        put_text_or_null(out, br#"", "dhEmi": "#, issued_at);
        if !self.is_of_consumer {
            put_text_or_null(out, br#", "dhSaiEnt": "#, issued_at);
        }
        put(out, &[br#", "tpNF": "1", "idDest": ""#, if self.is_within_a_state { b"1" } else { b"2" }]);
        put(out, &[br#"", "cMunFG": ""#, self.issuer.place.city_code.as_bytes()]);
        put(out, &[br#"", "tpImp": ""#, if self.is_of_consumer { b"4" } else { b"1" }]);
        put(out, &[br#"", "tpEmis": "1", "cDV": ""#, last, br#"", "tpAmb": "1", "finNFe": ""#]);
        put(out, &[if is_return { b"4" } else { b"1" }, br#"", "indFinal": ""#]);
        put(out, &[self.code_of(&self.tables.consumers, self.values.consumer), br#"", "indPres": ""#]);
        put(out, &[self.code_of(&self.tables.presences, self.values.presence)]);
        put(out, &[br#"", "procEmi": "0", "verProc": "4.01_b031"}, "#]);
    }

    /// Returns the code at the beginning of one of `texts`. For an NFC-e this is 1, a consumer in a shop.
    fn code_of<'t>(&self, texts: &'t [Vec<u8>], at: usize) -> &'t [u8] {
        let code = texts.get(at).and_then(|text| text.get(..1)).unwrap_or_default();
        if self.is_of_consumer { b"1" } else { code }
    }

    fn write_issuer(&self, flaw: Option<Flaw>, out: &mut Vec<u8>) {
        let tax_id: &[u8] = match flaw {
            Some(Flaw::LongTaxId) => "\"CNPJ\": \"NÃO SE SABE QUEM EMITIU\"".as_bytes(),
            _ => &self.issuer.tax_id,
        };
        put(out, &[br#""emit": {"#, tax_id, &self.issuer.rest, b"}, "]);
    }

    fn write_recipient(&self, random: &mut Random, out: &mut Vec<u8>) {
        if !self.is_of_consumer {
            let recipient = self.fragments.recipients.get(self.values.recipient);
            return put(out, &[recipient.map(|recipient| recipient.all.as_slice()).unwrap_or_default(), b", "]);
        }
        if random.below(10) < 6 {
            return;
        }
        let (in_key, _) = person(random);
        let name = escaped(&format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES)));
        // A CPF follows three zeros.
        put(out, &[br#""dest": {"CPF": ""#, in_key.get(3..).unwrap_or_default(), br#"", "xNome": ""#]);
        put(out, &[name.as_bytes(), br#"", "indIEDest": "9"}, "#]);
    }

    fn write_lines(&self, random: &mut Random, out: &mut Vec<u8>) -> Totals {
        let mut totals = Totals::default();
        // xmltodict makes a list only of more than one element.
        let (open, close): (&[u8], &[u8]) = if self.lines.len() == 1 { (b"", b"") } else { (b"[", b"]") };
        put(out, &[br#""det": "#, open]);
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            self.write_line(*line, at == 0, &mut totals, random, out);
        }
        put(out, &[close, b", "]);
        totals
    }

    /// Writes a line. The `first` line has the freight and the surcharge of the document.
    fn write_line(&self, line: LineValues, first: bool, totals: &mut Totals, random: &mut Random, out: &mut Vec<u8>) {
        let products = if line.is_hard { &self.fragments.hard_products } else { &self.fragments.products };
        let Some(product) = products.get(line.product) else { return };
        let (quantity, price) = (amount(line.quantity_hundredths), amount(line.unit_price_cents));
        let total_cents = line.total_cents();
        put(out, &[br#"{"@nItem": ""#, &number(line.number), br#"", "prod": {"#, &product.to_cfop]);
        put(out, &[if self.is_within_a_state { b"5" } else { b"6" }, product.cfop, &product.to_quantity, &quantity]);
        put(out, &[br#"00", "vUnCom": ""#, &price, br#"00", "vProd": ""#, &amount(total_cents)]);
        put(out, &[&product.to_taxed_quantity, &quantity, br#"00", "vUnTrib": ""#, &price, br#"00""#]);
        if first && self.freight_cents > 0 {
            put(out, &[br#", "vFrete": ""#, &amount(self.freight_cents), b"\""]);
        }
        if first && self.surcharge_cents > 0 {
            put(out, &[br#", "vOutro": ""#, &amount(self.surcharge_cents), b"\""]);
        }
        put(out, &[br#", "indTot": "1"}, "#]);
        totals.goods += total_cents;
        self.write_taxes(product, total_cents, totals, out);
        if random.below(8) == 0 {
            put(out, &[br#", "infAdProd": ""#, random.pick(&LINE_REMARKS).as_bytes(), b"\""]);
        }
        out.push(b'}');
    }

    fn write_taxes(&self, product: &ProductParts, total_cents: u64, totals: &mut Totals, out: &mut Vec<u8>) {
        let all_taxes = part(total_cents, rate::ALL_TAXES);
        totals.all_taxes += all_taxes;
        put(out, &[br#""imposto": {"vTotTrib": ""#, &amount(all_taxes), br#"", "ICMS": {"#]);
        match (product.treatment, self.issuer.regime) {
            (Treatment::Untaxed, _) | (_, Regime::Producer) => {
                put(out, &[br#""ICMS40": {"orig": "0", "CST": "41"}}"#]);
            }
            (Treatment::Taxed, Regime::Simplified) => {
                put(out, &[br#""ICMSSN102": {"orig": "0", "CSOSN": "102"}}"#]);
            }
            (Treatment::Substituted, Regime::Simplified) => {
                put(out, &[br#""ICMSSN500": {"orig": "0", "CSOSN": "500", "vBCSTRet": "0.00", "pST": "0.0000", "#]);
                put(out, &[br#""vICMSSubstituto": "0.00", "vICMSSTRet": "0.00"}}"#]);
            }
            (Treatment::Substituted, Regime::Normal) => {
                put(out, &[br#""ICMS60": {"orig": "0", "CST": "60", "vBCSTRet": "0.00", "pST": "0.0000", "#]);
                put(out, &[br#""vICMSSubstituto": "0.00", "vICMSSTRet": "0.00"}}"#]);
            }
            (Treatment::Taxed, Regime::Normal) => {
                let icms = part(total_cents, self.icms_rate);
                totals.base += total_cents;
                totals.icms += icms;
                put(out, &[br#""ICMS00": {"orig": "0", "CST": "00", "modBC": "3", "vBC": ""#, &amount(total_cents)]);
                put(
                    out,
                    &[br#"", "pICMS": ""#, &amount(self.icms_rate), br#"00", "vICMS": ""#, &amount(icms), b"\"}}"],
                );
            }
        }
        self.write_contributions(total_cents, totals, out);
    }

    /// PIS and COFINS, and the brace that closes the taxes.
    fn write_contributions(&self, total_cents: u64, totals: &mut Totals, out: &mut Vec<u8>) {
        match self.issuer.regime {
            Regime::Producer => {
                put(out, &[br#", "PIS": {"PISNT": {"CST": "08"}}, "COFINS": {"COFINSNT": {"CST": "08"}}}"#]);
            }
            Regime::Simplified => {
                put(out, &[br#", "PIS": {"PISOutr": {"CST": "49", "vBC": "0.00", "pPIS": "0.0000", "vPIS": "0.00"}}"#]);
                put(out, &[br#", "COFINS": {"COFINSOutr": {"CST": "49", "vBC": "0.00", "pCOFINS": "0.0000", "#]);
                put(out, &[br#""vCOFINS": "0.00"}}}"#]);
            }
            Regime::Normal => {
                let (base, pis) = (amount(total_cents), part(total_cents, rate::PIS));
                let cofins = part(total_cents, rate::COFINS);
                totals.pis += pis;
                totals.cofins += cofins;
                put(out, &[br#", "PIS": {"PISAliq": {"CST": "01", "vBC": ""#, &base, br#"", "pPIS": ""#]);
                put(
                    out,
                    &[&amount(rate::PIS), br#"00", "vPIS": ""#, &amount(pis), br#""}}, "COFINS": {"COFINSAliq": "#],
                );
                put(out, &[br#"{"CST": "01", "vBC": ""#, &base, br#"", "pCOFINS": ""#, &amount(rate::COFINS)]);
                put(out, &[br#"00", "vCOFINS": ""#, &amount(cofins), b"\"}}}"]);
            }
        }
    }

    fn write_totals(&self, totals: &Totals, stated_total: &[u8], out: &mut Vec<u8>) {
        put(out, &[br#""total": {"ICMSTot": {"vBC": ""#, &amount(totals.base), br#"", "vICMS": ""#]);
        put(out, &[&amount(totals.icms), br#"", "vICMSDeson": "0.00", "vFCP": "0.00", "vBCST": "0.00", "#]);
        put(out, &[br#""vST": "0.00", "vFCPST": "0.00", "vFCPSTRet": "0.00", "vProd": ""#, &amount(totals.goods)]);
        put(out, &[br#"", "vFrete": ""#, &amount(self.freight_cents), br#"", "vSeg": "0.00", "vDesc": "0.00", "#]);
        put(out, &[br#""vII": "0.00", "vIPI": "0.00", "vIPIDevol": "0.00", "vPIS": ""#, &amount(totals.pis)]);
        put(out, &[br#"", "vCOFINS": ""#, &amount(totals.cofins), br#"", "vOutro": ""#]);
        put(out, &[&amount(self.surcharge_cents), br#"", "vNF": ""#, stated_total, br#"", "vTotTrib": ""#]);
        put(out, &[&amount(totals.all_taxes), br#""}}, "#]);
    }

    fn write_transport_and_payment(&self, total: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        let operation = self.fragments.operations.get(self.values.operation);
        let is_paid = operation.is_some_and(|operation| operation.is_paid);
        let packages = 1 + random.below(20);
        if self.freight_cents > 0 {
            put(out, &[br#""transp": {"modFrete": "0", "vol": {"qVol": ""#, &number(packages)]);
            put(out, &[br#"", "esp": "VOLUME"}}, "#]);
        } else {
            put(out, &[br#""transp": {"modFrete": "9"}, "#]);
        }
        let (by_cash, by_slip) = (random.pick(&[b"01", b"17"]), random.below(2) == 0);
        if !is_paid {
            return put(out, &[br#""pag": {"detPag": {"tPag": "90", "vPag": "0.00"}}"#]);
        }
        let means = match (self.is_of_consumer, by_slip) {
            (true, _) => by_cash,
            (false, true) => b"15",
            (false, false) => b"18",
        };
        if means == b"15" {
            let number = number(self.values.number);
            put(out, &[br#""cobr": {"fat": {"nFat": ""#, &number, br#"", "vOrig": ""#, total]);
            put(out, &[br#"", "vDesc": "0.00", "vLiq": ""#, total, br#""}, "dup": {"nDup": "001", "dVenc": ""#]);
            // No invoice is issued after the 28th.
            let due_at = self.moment(Moment { day: 28, ..self.values.issued_at });
            put(out, &[due_at.get(..10).unwrap_or_default(), br#"", "vDup": ""#, total, br#""}}, "#]);
        }
        put(out, &[br#""pag": {"detPag": {"indPag": ""#, if means == b"15" { b"1" } else { b"0" }]);
        put(out, &[br#"", "tPag": ""#, means, br#"", "vPag": ""#, total, br#""}}"#]);
    }

    /// Writes the remarks, the order of the buyer, and the closing braces of the invoice.
    fn write_remarks(&self, totals: &Totals, random: &mut Random, out: &mut Vec<u8>) {
        let remark = random.pick(&REMARKS);
        let simplified = if self.issuer.regime == Regime::Simplified { SIMPLIFIED_REMARK } else { "" };
        put(out, &[br#", "infAdic": {"infCpl": ""#, simplified.as_bytes(), remark.as_bytes()]);
        put(out, &[b"; Valor aprox. dos tributos: R$ ", &amount_with(b',', totals.all_taxes), br#""}"#]);
        let order = 1 + random.below(999_999);
        if !self.is_of_consumer {
            let date = self.moment(self.values.issued_at);
            let year = date.get(..4).unwrap_or_default();
            put(out, &[br#", "compra": {"xNEmp": ""#, year, b"NE", &digits::<6>(order), br#""}"#]);
        }
        out.extend_from_slice(b"}}, ");
    }

    fn write_protocol(&self, key: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        let (status, reason): (&[u8], &[u8]) = match self.values.event {
            tables::CANCELLATION => (b"101", b"Cancelamento de NF-e homologado"),
            tables::DENIAL => (b"110", b"Uso Denegado"),
            _ => (b"100", b"Autorizado o uso da NF-e"),
        };
        // A protocol number: 1 for the server of the state, the state, the year, ten digits.
        let (state, year) = (self.key.get(..2).unwrap_or_default(), self.key.get(2..4).unwrap_or_default());
        let protocol = digits::<10>(random.below(10_000_000_000));
        put(out, &[br#""protNFe": {"@versao": "4.00", "infProt": {"tpAmb": "1", "verAplic": "SVRS202401121020", "#]);
        put_text_or_null(out, br#""chNFe": "#, key);
        put(out, &[br#", "dhRecbto": ""#, &self.moment(self.values.event_at), br#"", "nProt": "1"#, state, year]);
        put(out, &[&protocol, br#"", "digVal": ""#, &digest(random), br#"", "cStat": ""#, status]);
        put(out, &[br#"", "xMotivo": ""#, reason, br#""}}}}"#]);
    }

    /// Returns a moment as `2024-12-31T23:59:59-03:00`.
    fn moment(&self, moment: Moment) -> Text<25> {
        let month = self.tables.months.get(moment.month).map(|month| month.in_key).unwrap_or_default();
        let [y1, y2, m1, m2] = month;
        let [d1, d2] = digits::<2>(moment.day);
        let [h1, h2] = digits::<2>(moment.hour);
        let [n1, n2] = digits::<2>(moment.minute);
        let [s1, s2] = digits::<2>(moment.second);
        let mut text = Text::from_iter([b'2', b'0', y1, y2, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2]);
        text.extend([b':', s1, s2]);
        text.extend(*b"-03:00");
        text
    }
}

/// Changes the model in the key to that of an NFC-e.
fn with_model_65(mut key: [u8; 44]) -> [u8; 44] {
    if let Some(model) = key.get_mut(20..22) {
        model.copy_from_slice(b"65");
    }
    let [body @ .., last] = &mut key;
    *last = check_digit(body, Weights::UP_TO_9);
    key
}

fn icms_rate(from: &str, to: &str) -> u64 {
    // South and Southeast except Espírito Santo.
    let is_southern = |state| matches!(state, "SP" | "RJ" | "MG" | "PR" | "SC" | "RS");
    match (is_southern(from), is_southern(to)) {
        _ if from == to => rate::ICMS_WITHIN_A_STATE,
        (true, false) => rate::ICMS_TO_OTHER_REGIONS,
        _ => rate::ICMS_BETWEEN_STATES,
    }
}

/// Returns a share of `cents`, rounded half up. `rate` is in hundredths of a percent.
const fn part(cents: u64, rate: u64) -> u64 {
    (cents * rate + 5_000) / 10_000
}

/// Returns random text in the form of a SHA-1 in base64.
fn digest(random: &mut Random) -> [u8; 28] {
    let mut digest = [b'='; 28];
    // 160 bits are 26 characters and two thirds.
    for (at, character) in digest.iter_mut().take(27).enumerate() {
        let bits = random.index(64);
        *character = BASE64.get(if at == 26 { bits & 0x3c } else { bits }).copied().unwrap_or(b'A');
    }
    digest
}

fn number(number: u64) -> Text<20> {
    let digits = digits::<20>(number);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len() - 1);
    digits.into_iter().skip(first).collect()
}

/// Returns an amount as `1234.56`.
fn amount(cents: u64) -> Text<23> {
    amount_with(b'.', cents)
}

fn amount_with(point: u8, cents: u64) -> Text<23> {
    let mut text: Text<23> = number(cents / 100).into_iter().collect();
    text.push(point);
    text.extend(digits::<2>(cents % 100));
    text
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Writes a member: its `name`, then a string, or null for empty text, as xmltodict has it for an empty element.
fn put_text_or_null(out: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    if text.is_empty() { put(out, &[name, b"null"]) } else { put(out, &[name, b"\"", text, b"\""]) }
}
