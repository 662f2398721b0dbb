package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// tag writes a value with its type, so that 1, 1u and 1.0 differ: {"int": "1"}, {"double": "NaN"}, {"bytes": BASE64},
// {"list": [...]}, {"map": [[KEY, VALUE], ...]}, {"optional": VALUE or null}, {"null": true}.
func tag(value ref.Val) map[string]any {
	switch v := value.(type) {
	case types.Null:
		return map[string]any{"null": true}
	case types.Bool:
		return map[string]any{"bool": bool(v)}
	case types.Int:
		return map[string]any{"int": strconv.FormatInt(int64(v), 10)}
	case types.Uint:
		return map[string]any{"uint": strconv.FormatUint(uint64(v), 10)}
	case types.Double:
		return map[string]any{"double": double(float64(v))}
	case types.String:
		return map[string]any{"string": string(v)}
	case types.Bytes:
		return map[string]any{"bytes": base64.StdEncoding.EncodeToString(v)}
	case types.Timestamp:
		return map[string]any{"timestamp": v.Time.UTC().Format(time.RFC3339Nano)}
	case types.Duration:
		return map[string]any{"duration": strconv.FormatInt(v.Duration.Nanoseconds(), 10)}
	case *types.Optional:
		if !v.HasValue() {
			return map[string]any{"optional": nil}
		}
		return map[string]any{"optional": tag(v.GetValue())}
	case ref.Type:
		return map[string]any{"type": v.TypeName()}
	case traits.Lister:
		elements := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			elements = append(elements, tag(it.Next()))
		}
		return map[string]any{"list": elements}
	case traits.Mapper:
		entries := [][2]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			entries = append(entries, [2]any{tag(key), tag(v.Get(key))})
		}
		return map[string]any{"map": entries}
	}
	if text, ok := value.ConvertToType(types.StringType).(types.String); ok {
		return map[string]any{value.Type().TypeName(): string(text)}
	}
	return map[string]any{value.Type().TypeName(): fmt.Sprint(value.Value())}
}

func double(d float64) string {
	switch {
	case math.IsNaN(d):
		return "NaN"
	case math.IsInf(d, 1):
		return "Infinity"
	case math.IsInf(d, -1):
		return "-Infinity"
	}
	return strconv.FormatUint(math.Float64bits(d), 16)
}

func untag(raw json.RawMessage) (ref.Val, error) {
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(raw, &tagged); err != nil {
		return nil, err
	}
	for kind, inner := range tagged {
		var text string
		_ = json.Unmarshal(inner, &text)
		switch kind {
		case "null":
			return types.NullValue, nil
		case "bool":
			return types.Bool(string(inner) == "true"), nil
		case "int":
			i, err := strconv.ParseInt(text, 10, 64)
			return types.Int(i), err
		case "uint":
			u, err := strconv.ParseUint(text, 10, 64)
			return types.Uint(u), err
		case "double":
			if special, err := strconv.ParseFloat(text, 64); err == nil && (math.IsNaN(special) || math.IsInf(special, 0)) && !strings.HasPrefix(text, "7") {
				return types.Double(special), nil
			}
			bits, err := strconv.ParseUint(text, 16, 64)
			return types.Double(math.Float64frombits(bits)), err
		case "string":
			return types.String(text), nil
		case "bytes":
			b, err := base64.StdEncoding.DecodeString(text)
			return types.Bytes(b), err
		case "timestamp":
			t, err := time.Parse(time.RFC3339Nano, text)
			return types.Timestamp{Time: t}, err
		case "duration":
			n, err := strconv.ParseInt(text, 10, 64)
			return types.Duration{Duration: time.Duration(n)}, err
		case "list":
			var elements []json.RawMessage
			if err := json.Unmarshal(inner, &elements); err != nil {
				return nil, err
			}
			values := []ref.Val{}
			for _, element := range elements {
				value, err := untag(element)
				if err != nil {
					return nil, err
				}
				values = append(values, value)
			}
			return types.NewRefValList(types.DefaultTypeAdapter, values), nil
		case "map":
			var entries [][2]json.RawMessage
			if err := json.Unmarshal(inner, &entries); err != nil {
				return nil, err
			}
			values := map[ref.Val]ref.Val{}
			for _, entry := range entries {
				key, err := untag(entry[0])
				if err != nil {
					return nil, err
				}
				if values[key], err = untag(entry[1]); err != nil {
					return nil, err
				}
			}
			return types.NewRefValMap(types.DefaultTypeAdapter, values), nil
		}
	}
	return nil, fmt.Errorf("no tagged value: %s", raw)
}

var simple = map[string]*cel.Type{
	"dyn": cel.DynType, "bool": cel.BoolType, "int": cel.IntType, "uint": cel.UintType, "double": cel.DoubleType,
	"string": cel.StringType, "bytes": cel.BytesType, "timestamp": cel.TimestampType, "duration": cel.DurationType,
}

// typeOf reads `list(string)`, `map(string, list(string))` and the like.
func typeOf(text string) (*cel.Type, error) {
	if t, ok := simple[text]; ok {
		return t, nil
	}
	if inner, ok := strings.CutPrefix(text, "list("); ok {
		element, err := typeOf(strings.TrimSuffix(inner, ")"))
		return cel.ListType(element), err
	}
	if inner, ok := strings.CutPrefix(text, "map("); ok {
		key, value, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ", ")
		k, err := typeOf(key)
		if err != nil {
			return nil, err
		}
		v, err := typeOf(value)
		return cel.MapType(k, v), err
	}
	return nil, fmt.Errorf("no type %q", text)
}
