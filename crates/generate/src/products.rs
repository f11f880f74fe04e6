//! Products of the lines.

use crate::encoding::{encoded, field};
use crate::names::NAMES;

/// A product, with its fields as bytes of the file.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) description: String,
    pub(crate) ncm: &'static str,
    /// Description, NCM and its name, with the quotes up to the one that opens the CFOP.
    pub(crate) fields: Vec<u8>,
    pub(crate) unit: Vec<u8>,
    /// CFOP without its first digit, which depends on whether the operation crosses a state border.
    pub(crate) cfop: &'static [u8; 3],
    /// Whether a line may have half a unit.
    pub(crate) is_divisible: bool,
}

/// Description, NCM, its name in the tariff, unit, end of the CFOP.
type Kind = (&'static str, &'static str, &'static str, &'static str, &'static [u8; 3]);

const KINDS: [Kind; 20] = [
    ("PAPEL A4 75G 500 FOLHAS", "48025610", "Papel, fibra mecânica <=10%, 40<=p<=150g/m2", "RESMA", b"102"),
    ("CANETA ESFEROGRÁFICA AZUL", "96081000", "Canetas esferográficas", "CX", b"102"),
    (
        "*DIPIRONA SÓDICA 500MG/ML 2ML(G)",
        "30049069",
        "Outros medicamentos contendo compostos heterocíclicos",
        "AMP",
        b"102",
    ),
    (
        "ÁGUA PARA INJEÇÃO 250ML BOLSA",
        "30049099",
        "Outros medicamentos para fins terapêuticos, doses",
        "UNIDAD",
        b"102",
    ),
    ("LUVA DE PROCEDIMENTO TAM. M", "40151900", "Outras luvas de borracha vulcanizada, não endurecida", "CX", b"405"),
    (
        "PÃO FRANCÊS 50G",
        "19059090",
        "Outros produtos de padaria, pastelaria, indústria de biscoitos, etc",
        "KG",
        b"405",
    ),
    (
        "CARNE BOVINA PATINHO EM CUBOS",
        "02013000",
        "Carnes de bovino, desossadas, frescas ou refrigeradas",
        "KG",
        b"101",
    ),
    ("ARROZ BRANCO TIPO 1", "10063021", "Arroz semibranqueado, polido ou brunido", "FARDO", b"102"),
    ("FEIJÃO CARIOCA", "07133399", "Outros feijões comuns, secos, em grão", "KG", b"101"),
    ("DIESEL S10", "27101921", "Gasóleo (óleo diesel)", "L", b"656"),
    ("CIMENTO CP II 50KG", "25232910", "Cimento comum", "SC", b"405"),
    ("CABO FLEXÍVEL 2,5MM2", "85444900", "Outros condutores elétricos, para tensão <= 1000 V", "M", b"405"),
    ("LÂMPADA LED 9W BIVOLT", "85395200", "Lâmpadas de LED", "PC", b"405"),
    ("MICROCOMPUTADOR 8GB SSD 256GB", "84715010", "Unidade de processamento digital, pequena capacidade", "UN", b"102"),
    ("CARTUCHO DE TONER PRETO", "84439933", "Cartuchos de revelador (toners)", "UN", b"102"),
    ("CADEIRA GIRATÓRIA COM BRAÇOS", "94013090", "Assentos giratórios de altura ajustável", "UN", b"101"),
    ("PNEU 175/70 R13", "40111000", "Pneus novos para automóveis de passageiros", "PC", b"405"),
    ("ÓLEO LUBRIFICANTE 15W40", "27101932", "Óleos lubrificantes com aditivos", "L", b"656"),
    ("DETERGENTE NEUTRO 500ML", "34025000", "Preparações tensoativas para lavagem", "UNIDAD", b"102"),
    ("SERVIÇO DE MANUTENÇÃO PREVENTIVA", "00000000", "Sem informação", "SERV", b"933"),
];

/// Products with quotes, semicolons and line breaks, which a careless reader parses wrongly.
const HARD_KINDS: [Kind; 5] = [
    ("TUBO 1/2\" PVC SOLDÁVEL; BARRA 6M", "39172300", "Tubos rígidos, de polímeros de cloreto de vinila", "PC", b"405"),
    ("\"KIT\" LIMPEZA\r\nBALDE; RODO; PANO", "96039000", "Outras vassouras e escovas", "KIT", b"102"),
    ("PARAFUSO 3/8\"", "73181500", "Outros parafusos e pinos ou pernos", "CENTO", b"405"),
    (" MANGUEIRA 1\" \"REFORÇADA\"\n50M ", "39173900", "Outros tubos de plásticos", "M", b"102"),
    ("=SOMA(A1;B1)", "49019900", "Outros livros, brochuras e impressos semelhantes", "UN", b"102"),
];

const DIVISIBLE_UNITS: [&str; 3] = ["KG", "L", "M"];

impl Product {
    /// Returns every kind of product by every maker.
    pub(crate) fn all() -> Vec<Self> {
        let makes = KINDS.iter().flat_map(|kind| NAMES.iter().map(move |make| (kind, make)));
        makes.map(|(kind, make)| Self::new(format!("{} {make}", kind.0), kind)).collect()
    }

    pub(crate) fn hard() -> Vec<Self> {
        HARD_KINDS.iter().map(|kind| Self::new(kind.0.to_owned(), kind)).collect()
    }

    fn new(description: String, &(_, ncm, ncm_name, unit, cfop): &Kind) -> Self {
        let mut fields = encoded("\";\"");
        for text in [description.as_str(), ncm, ncm_name] {
            fields.extend_from_slice(&field(text));
            fields.extend_from_slice(b"\";\"");
        }
        Self { description, ncm, fields, unit: field(unit), cfop, is_divisible: DIVISIBLE_UNITS.contains(&unit) }
    }
}
