package serve

import (
	"net/http"
	"slices"
)

// crossOrigin lets the pages of the configured origins read answers, and send requests with the
// headers that have a meaning here. It answers the question that a browser asks first (preflight),
// which has no token. Credentials, as cookies, are not for it: a page that has the token sends it.
func (s *Server) crossOrigin(next http.Handler) http.Handler {
	if len(s.config.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, origin := w.Header(), r.Header.Get("Origin")
		header.Add("Vary", "Origin")
		if !slices.Contains(s.config.Origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		header.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Encoding, "+
				"Content-Type, "+headerLength+", Traceparent, X-Request-Id")
			header.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		header.Set("Access-Control-Expose-Headers", headerLength+", Retry-After, Server-Timing, "+
			"X-Request-Id, "+headerWarning)
		next.ServeHTTP(w, r)
	})
}
