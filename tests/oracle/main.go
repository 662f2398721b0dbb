// The reference implementation of the rule language: cel-go with the libraries of Kubernetes' API server.
//
//	oracle                     one JSON request a line on stdin, one JSON answer a line on stdout, in order
//	oracle conformance DIR     the CEL specification's conformance cases in DIR (*.textproto), one JSON case a line
//
// Requests: {"env": NAME, "declare": {VARIABLE: TYPE}} names an environment, without an answer;
// {"env": NAME, "expression": TEXT, "bindings": {VARIABLE: VALUE}} is answered by one of {"compile": MESSAGE},
// {"error": MESSAGE}, {"value": VALUE, "type": TYPE}. Values are tagged with their type (values.go).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apiserver/pkg/cel/library"
)

type request struct {
	Env        string                     `json:"env"`
	Declare    map[string]string          `json:"declare"`
	Expression *string                    `json:"expression"`
	Bindings   map[string]json.RawMessage `json:"bindings"`
}

type answer struct {
	Compile string `json:"compile,omitempty"`
	Error   string `json:"error,omitempty"`
	Value   any    `json:"value,omitempty"`
	Type    string `json:"type,omitempty"`
}

// base is the environment of Kubernetes' API server (k8s.io/apiserver/pkg/cel/environment) in its newest version, with the
// present version of the string library, with math, base64 and cel.bind, and without the requirement that
// the elements of a literal are of one type.
func base() (*cel.Env, error) {
	return cel.NewEnv(
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		library.URLs(), library.Regex(), library.Lists(), library.IP(), library.CIDR(), library.Format(),
		ext.Strings(), ext.Sets(), ext.TwoVarComprehensions(), ext.Lists(ext.ListsVersion(3)), ext.Math(), ext.Encoders(), ext.Bindings(),
	)
}

func declare(env *cel.Env, variables map[string]string) (*cel.Env, error) {
	var options []cel.EnvOption
	for name, text := range variables {
		declared, err := typeOf(text)
		if err != nil {
			return nil, err
		}
		options = append(options, cel.Variable(name, declared))
	}
	return env.Extend(options...)
}

func evaluate(env *cel.Env, r request) (a answer) {
	defer func() {
		if broken := recover(); broken != nil {
			a = answer{Error: fmt.Sprintf("panic: %v", broken)}
		}
	}()
	ast, issues := env.Compile(*r.Expression)
	if issues.Err() != nil {
		return answer{Compile: issues.Err().Error()}
	}
	program, err := env.Program(ast, cel.CostLimit(10_000_000))
	if err != nil {
		return answer{Compile: err.Error()}
	}
	bindings := map[string]any{}
	for name, raw := range r.Bindings {
		value, err := untag(raw)
		if err != nil {
			return answer{Error: err.Error()}
		}
		bindings[name] = value
	}
	value, _, err := program.Eval(bindings)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Value: tag(value), Type: ast.OutputType().String()}
}

func serve() error {
	plain, err := base()
	if err != nil {
		return err
	}
	environments := map[string]*cel.Env{}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(out)
	for decoder.More() {
		var r request
		if err := decoder.Decode(&r); err != nil {
			return err
		}
		if r.Expression == nil {
			if environments[r.Env], err = declare(plain, r.Declare); err != nil {
				return err
			}
			continue
		}
		if err := encoder.Encode(evaluate(environments[r.Env], r)); err != nil {
			return err
		}
	}
	return out.Flush()
}

func main() {
	var err error
	switch {
	case len(os.Args) == 1:
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == "conformance":
		err = conformance(os.Args[2])
	default:
		err = fmt.Errorf("usage: oracle [conformance DIR]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}
