package runner

import _ "kerasrun/runner/internal/needtensorflow" // so that a build without it says so
