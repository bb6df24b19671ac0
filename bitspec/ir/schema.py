"""The published JSON Schema of a study."""

from __future__ import annotations

import json

from bitspec.ir.study import Study


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of a study's JSON form, as text that ends with a line break."""
    schema = Study.model_json_schema(mode="serialization")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"bitspec study, version {Study.model_fields['version'].default}",
        **{key: value for key, value in schema.items() if key != "title"},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
