package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"cel.dev/expr"
	_ "cel.dev/expr/conformance/proto2"
	_ "cel.dev/expr/conformance/proto3"
	"cel.dev/expr/conformance/test"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// published is one case of the specification. Exactly one of Value, Error and neither (check only) is expected.
type published struct {
	Case       string            `json:"case"`
	Expression string            `json:"expression"`
	Container  string            `json:"container,omitempty"`
	Declare    map[string]string `json:"declare,omitempty"`
	Bindings   map[string]any    `json:"bindings,omitempty"`
	Value      any               `json:"value,omitempty"`
	Type       string            `json:"type,omitempty"`
	Error      string            `json:"error,omitempty"`
	// Unchecked is true when the case is evaluated without a type check.
	Unchecked bool `json:"unchecked,omitempty"`
	NoMacros  bool `json:"no_macros,omitempty"`
	// Messages says which value or type of the case no value of ours can be: a message or an enumeration.
	Messages string `json:"messages,omitempty"`
}

func conformance(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.textproto"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no *.textproto in %s: %v", dir, err)
	}
	sort.Strings(files)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file test.SimpleTestFile
		if err := prototext.Unmarshal(text, &file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, section := range file.Section {
			for _, one := range section.Test {
				if err := encoder.Encode(read(file.Name+"/"+section.Name+"/"+one.Name, one)); err != nil {
					return err
				}
			}
		}
	}
	return out.Flush()
}

func read(name string, t *test.SimpleTest) published {
	p := published{Case: name, Expression: t.Expr, Container: t.Container, Unchecked: t.DisableCheck, NoMacros: t.DisableMacros}
	p.Declare, p.Bindings = map[string]string{}, map[string]any{}
	fail := func(err error) {
		if err != nil && p.Messages == "" {
			p.Messages = err.Error()
		}
	}
	for _, declaration := range t.TypeEnv {
		ident := declaration.GetIdent()
		if ident == nil {
			fail(fmt.Errorf("declares a function"))
			continue
		}
		text, err := typeText(ident.Type)
		fail(err)
		p.Declare[declaration.Name] = text
	}
	for variable, bound := range t.Bindings {
		if bound.GetValue() == nil {
			fail(fmt.Errorf("binds an error or an unknown"))
			continue
		}
		value, err := valueOf(bound.GetValue())
		fail(err)
		p.Bindings[variable] = value
	}
	var err error
	switch expected := t.ResultMatcher.(type) {
	case *test.SimpleTest_Value:
		p.Value, err = valueOf(expected.Value)
	case *test.SimpleTest_TypedResult:
		p.Type, err = typeText(expected.TypedResult.DeducedType)
		fail(err)
		if expected.TypedResult.Result != nil {
			p.Value, err = valueOf(expected.TypedResult.Result)
		}
	case *test.SimpleTest_EvalError:
		p.Error = expected.EvalError.String()
	case *test.SimpleTest_AnyEvalErrors:
		p.Error = "any"
	case nil:
		p.Value = map[string]any{"bool": true}
	default:
		fail(fmt.Errorf("expects an unknown"))
	}
	fail(err)
	return p
}

func valueOf(value *expr.Value) (map[string]any, error) {
	switch v := value.Kind.(type) {
	case *expr.Value_NullValue:
		return map[string]any{"null": true}, nil
	case *expr.Value_BoolValue:
		return map[string]any{"bool": v.BoolValue}, nil
	case *expr.Value_Int64Value:
		return map[string]any{"int": strconv.FormatInt(v.Int64Value, 10)}, nil
	case *expr.Value_Uint64Value:
		return map[string]any{"uint": strconv.FormatUint(v.Uint64Value, 10)}, nil
	case *expr.Value_DoubleValue:
		return map[string]any{"double": double(v.DoubleValue)}, nil
	case *expr.Value_StringValue:
		return map[string]any{"string": v.StringValue}, nil
	case *expr.Value_BytesValue:
		return map[string]any{"bytes": base64.StdEncoding.EncodeToString(v.BytesValue)}, nil
	case *expr.Value_TypeValue:
		return map[string]any{"type": v.TypeValue}, nil
	case *expr.Value_ListValue:
		elements := []any{}
		for _, inner := range v.ListValue.Values {
			element, err := valueOf(inner)
			if err != nil {
				return nil, err
			}
			elements = append(elements, element)
		}
		return map[string]any{"list": elements}, nil
	case *expr.Value_MapValue:
		entries := [][2]any{}
		for _, entry := range v.MapValue.Entries {
			key, err := valueOf(entry.Key)
			if err != nil {
				return nil, err
			}
			inner, err := valueOf(entry.Value)
			if err != nil {
				return nil, err
			}
			entries = append(entries, [2]any{key, inner})
		}
		return map[string]any{"map": entries}, nil
	case *expr.Value_ObjectValue:
		if message, err := v.ObjectValue.UnmarshalNew(); err == nil {
			switch m := message.(type) {
			case *timestamppb.Timestamp:
				return map[string]any{"timestamp": m.AsTime().Format(time.RFC3339Nano)}, nil
			case *durationpb.Duration:
				return map[string]any{"duration": strconv.FormatInt(m.AsDuration().Nanoseconds(), 10)}, nil
			}
		}
		return nil, fmt.Errorf("has a message value")
	}
	return nil, fmt.Errorf("has an enumeration value")
}

func typeText(t *expr.Type) (string, error) {
	switch kind := t.TypeKind.(type) {
	case *expr.Type_Dyn:
		return "dyn", nil
	case *expr.Type_Null:
		return "null", nil
	case *expr.Type_Primitive:
		return strings.TrimSuffix(strings.ToLower(kind.Primitive.String()), "64"), nil
	case *expr.Type_WellKnown:
		if kind.WellKnown == expr.Type_ANY {
			return "", fmt.Errorf("has a message type")
		}
		return strings.ToLower(kind.WellKnown.String()), nil
	case *expr.Type_ListType_:
		element, err := typeText(kind.ListType.ElemType)
		return "list(" + element + ")", err
	case *expr.Type_MapType_:
		key, err := typeText(kind.MapType.KeyType)
		if err != nil {
			return "", err
		}
		value, err := typeText(kind.MapType.ValueType)
		return "map(" + key + ", " + value + ")", err
	case *expr.Type_Type:
		return "type", nil
	case *expr.Type_AbstractType_:
		if kind.AbstractType.Name == "optional_type" && len(kind.AbstractType.ParameterTypes) == 1 {
			inner, err := typeText(kind.AbstractType.ParameterTypes[0])
			return "optional(" + inner + ")", err
		}
		return "", fmt.Errorf("has an opaque type")
	}
	return "", fmt.Errorf("has a message type")
}
