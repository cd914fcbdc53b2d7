package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

func text(set func(*Options, string) string) func(*Options, any) string {
	return func(o *Options, raw any) string {
		s, ok := raw.(string)
		if !ok {
			return "a string"
		}
		return set(o, s)
	}
}

func oneOf(set func(*Options, string), allowed ...string) func(*Options, any) string {
	must := "one of"
	for i, a := range allowed {
		if i > 0 {
			must += ","
		}
		must += " " + a
	}
	return text(func(o *Options, s string) string {
		for _, a := range allowed {
			if s == a {
				set(o, s)
				return ""
			}
		}
		return must
	})
}

func boolean(set func(*Options, bool)) func(*Options, any) string {
	return func(o *Options, raw any) string {
		b, ok := raw.(bool)
		if !ok {
			return "true or false"
		}
		set(o, b)
		return ""
	}
}

func whole(least, most int, set func(*Options, int)) func(*Options, any) string {
	return func(o *Options, raw any) string {
		n, err := strconv.Atoi(fmt.Sprint(raw))
		if err != nil || n < least || n > most {
			return fmt.Sprintf("a whole number in %d-%d", least, most)
		}
		set(o, n)
		return ""
	}
}

func seconds(least, most float64, step time.Duration, set func(*Options, time.Duration)) func(*Options, any) string {
	must := fmt.Sprintf("seconds in %v-%v", least, most)
	return func(o *Options, raw any) string {
		if n, ok := raw.(json.Number); ok {
			raw = string(n)
		}
		s, err := strconv.ParseFloat(fmt.Sprint(raw), 64)
		if err != nil || !(s >= least && s <= most) { // written so that NaN fails
			return must
		}
		set(o, time.Duration(s*float64(time.Second)).Round(step))
		return ""
	}
}
