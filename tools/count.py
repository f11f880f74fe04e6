#!/usr/bin/env python3
"""Counts a generated Portal file without using notaflux: rows, distinct valid keys, superseded and bad rows.

    tools/count.py FILE

A row is bad if it has too few or too many columns, if its key, a date or its amount is not valid, or if its issuer's tax id is too long.
"""
import csv
import json
import re
import sys
from datetime import datetime

UFS = set("11 12 13 14 15 16 17 21 22 23 24 25 26 27 28 29 31 32 33 35 41 42 43 50 51 52 53".split())
MODELS = set("55 65 57 58 67 62 63 64 66".split())
KEY = re.compile(r"[0-9]{6}[A-Z0-9]{12}[0-9]{26}")
AMOUNT = re.compile(r"-?[0-9]+(,[0-9]+)?|-?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?")


def is_key(text):
    return bool(KEY.fullmatch(text)) and text[:2] in UFS and 1 <= int(text[4:6]) <= 12 and text[20:22] in MODELS


def is_date(text):
    try:
        datetime.strptime(text, "%d/%m/%Y %H:%M:%S")
        return True
    except ValueError:
        return False


def main(path):
    with open(path, encoding="cp1252", newline="") as file:
        rows = csv.reader(file, delimiter=";")
        header = next(rows)
        at = {name: index for index, name in enumerate(header)}
        key, total = at["CHAVE DE ACESSO"], at["VALOR NOTA FISCAL"]
        issuer = at["CPF/CNPJ Emitente"]
        dates = [at["DATA EMISSÃO"], at["DATA/HORA EVENTO MAIS RECENTE"]]
        records = bad = 0
        keys = set()
        for row in rows:
            records += 1
            well = len(row) == len(header) and is_key(row[key]) and AMOUNT.fullmatch(row[total])
            well = well and len(row[issuer]) <= 20
            if well and all(is_date(row[date]) for date in dates):
                keys.add(row[key].encode())
            else:
                bad += 1
    counts = {"records_read": records, "written": len(keys), "superseded": records - bad - len(keys), "rejected": bad}
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1])
