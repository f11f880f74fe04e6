"""Reads the Portal's invoice file with Python's csv module, to compute the expected table without notaflux."""
import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))
from count import AMOUNT, is_date, is_key  # noqa: E402

ABSENT = {"", "-1", "Sem informação"}
NO_DATE = "01/01/1900 00:00:00"
EXTRA = {
    "recipient_agency_group_code": "CÓDIGO ÓRGÃO SUPERIOR DESTINATÁRIO",
    "recipient_agency_group": "ÓRGÃO SUPERIOR DESTINATÁRIO",
    "recipient_agency_code": "CÓDIGO ÓRGÃO DESTINATÁRIO",
    "recipient_agency": "ÓRGÃO DESTINATÁRIO",
    "recipient_ie_indicator": "INDICADOR IE DESTINATÁRIO",
    "destination": "DESTINO DA OPERAÇÃO",
    "final_consumer": "CONSUMIDOR FINAL",
    "buyer_presence": "PRESENÇA DO COMPRADOR",
}


def generate(notaflux, path, records, seed, layout="portal-v1"):
    """Generates a file with duplicates and bad rows."""
    subprocess.run([notaflux, "generate", "--records", str(records), "--seed", str(seed), "--layout", layout,
                    "--duplicates", "0.05", "--bad", "0.02", "--output", path], check=True)
    return path


def lines(key, count):
    """Makes a file with this many lines of one invoice."""
    columns = ["CHAVE DE ACESSO", "NÚMERO PRODUTO", "DESCRIÇÃO DO PRODUTO/SERVIÇO", "QUANTIDADE", "VALOR UNITÁRIO", "VALOR TOTAL"]
    return table(columns, [[key, number, f"CAFÉ {number}", "2,00", "10,50", "21,00"] for number in range(count, 0, -1)])


def cancellation(key):
    """Makes a file with one cancellation, later than any status."""
    columns = ["CHAVE DE ACESSO", "EVENTO", "DATA/HORA EVENTO", "DESCRIÇÃO EVENTO", "MOTIVO EVENTO"]
    return table(columns, [[key, "Cancelamento", "31/12/2026 23:59:59", "Cancelamento", "ERRO DE EMISSÃO"]])


def table(columns, rows):
    text = "".join(";".join(f'"{cell}"' for cell in row) + "\r\n" for row in [columns, *rows])
    return text.encode("cp1252")


def archive(path, members):
    """Writes a zip of these files. Not all of them are invoices."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)


def counts(paths):
    """Adds up what tools/count.py counts in each file. Correct only if no key is in two files."""
    total = {}
    for path in paths:
        said = subprocess.run([sys.executable, TOOLS / "count.py", path], check=True, capture_output=True, text=True)
        for name, number in json.loads(said.stdout).items():
            total[name] = total.get(name, 0) + number
    return total


def invoices(path):
    """Returns the last valid row of each key as the API must return it, without the fields that depend on the ingestion."""
    last = {}
    with open(path, "rb") as file:
        rows = csv.reader(io.StringIO(file.read().decode("cp1252"), newline=""), delimiter=";")
    header = next(rows)
    for row in rows:
        cells = dict(zip(header, row))
        if is_valid(header, row, cells):
            last[cells["CHAVE DE ACESSO"]] = invoice(cells)
    return last


def is_valid(header, row, cells):
    return (len(row) == len(header) and is_key(cells["CHAVE DE ACESSO"]) and AMOUNT.fullmatch(cells["VALOR NOTA FISCAL"])
            and len(cells["CPF/CNPJ Emitente"]) <= 20
            and is_date(cells["DATA EMISSÃO"]) and is_date(cells["DATA/HORA EVENTO MAIS RECENTE"]))


def invoice(cells):
    def party(tax_id, **names):
        return present({"tax_id": cells[tax_id], "tax_id_kind": kind(cells[tax_id]),
                        **{name: cells[column] for name, column in names.items()}})

    event = cells["EVENTO MAIS RECENTE"]
    return present({
        "id": cells["CHAVE DE ACESSO"],
        "access_key": cells["CHAVE DE ACESSO"],
        "model": cells["MODELO"].split(" - ")[0],
        "series": cells["SÉRIE"],
        "number": cells["NÚMERO"],
        "operation": cells["NATUREZA DA OPERAÇÃO"],
        "issued_at": iso(cells["DATA EMISSÃO"]),
        "issuer": party("CPF/CNPJ Emitente", name="RAZÃO SOCIAL EMITENTE",
                        state_registration="INSCRIÇÃO ESTADUAL EMITENTE", uf="UF EMITENTE", city="MUNICÍPIO EMITENTE"),
        "recipient": party("CNPJ DESTINATÁRIO", name="NOME DESTINATÁRIO", uf="UF DESTINATÁRIO"),
        "status": status(event),
        "status_text": event,
        "status_at": iso(cells["DATA/HORA EVENTO MAIS RECENTE"]),
        "total": cells["VALOR NOTA FISCAL"].replace(".", "").replace(",", "."),
        "currency": "BRL",
        "extra": present({name: cells.get(column, "") for name, column in EXTRA.items()}),
    })


def present(fields):
    """Removes absent values: no field of the API is null or empty."""
    return {name: value for name, value in fields.items() if isinstance(value, dict) or value not in {None, *ABSENT}}


def kind(tax_id):
    return {14: "cnpj", 11: "cpf"}.get(len(tax_id)) if tax_id not in ABSENT else None


def status(event):
    if event in ABSENT:
        return "unknown"
    if "Cancelamento" in event:
        return "cancelled"
    return "denied" if "Denegad" in event else "authorized"


def iso(text):
    if text == NO_DATE:
        return None
    date, time = text.split(" ")
    return "-".join(reversed(date.split("/"))) + "T" + time
