;; Counting primes, in slices: the app of the demo, as text that the engine itself turns into a module.
;; Input, as text: "first last". Result: how many primes lie in [first, last], by trial division.
;; State between two slices: three globals. See docs/grid-abi.md for what each export is for.
(module
  (memory (export "memory") 1)
  (global $first (mut i64) (i64.const 0))
  (global $last (mut i64) (i64.const 0))
  (global $next (mut i64) (i64.const 0))   ;; the next number to look at
  (global $found (mut i64) (i64.const 0))
  (global $at (mut i32) (i32.const 0))     ;; where reading the input has come to

  (func (export "alloc") (param $size i32) (result i32)
    (select (i32.const 1024) (i32.const 0) (i32.le_u (local.get $size) (i32.const 4096))))

  ;; the decimal number at $at, and past the character behind it
  (func $number (param $end i32) (result i64)
    (local $value i64) (local $digit i32)
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (global.get $at) (local.get $end)))
        (local.set $digit (i32.sub (i32.load8_u (global.get $at)) (i32.const 48)))
        (global.set $at (i32.add (global.get $at) (i32.const 1)))
        (br_if $done (i32.gt_u (local.get $digit) (i32.const 9)))
        (local.set $value
          (i64.add (i64.mul (local.get $value) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
        (br $more)))
    (local.get $value))

  (func (export "begin") (param $address i32) (param $size i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $address) (local.get $size)))
    (global.set $at (local.get $address))
    (global.set $first (call $number (local.get $end)))
    (global.set $last (call $number (local.get $end)))
    (global.set $next (global.get $first))
    (i64.gt_u (global.get $first) (global.get $last)))  ;; 1, an error, where there is nothing to look at

  (func $prime (param $n i64) (result i32)
    (local $d i64)
    (if (i64.lt_u (local.get $n) (i64.const 4)) (then (return (i64.gt_u (local.get $n) (i64.const 1)))))
    (if (i64.eqz (i64.and (local.get $n) (i64.const 1))) (then (return (i32.const 0))))
    (local.set $d (i64.const 3))
    (loop $more
      (if (i64.gt_u (i64.mul (local.get $d) (local.get $d)) (local.get $n)) (then (return (i32.const 1))))
      (if (i64.eqz (i64.rem_u (local.get $n) (local.get $d))) (then (return (i32.const 0))))
      (local.set $d (i64.add (local.get $d) (i64.const 2)))
      (br $more))
    (unreachable))

  ;; a thousand numbers; 1 while there are more
  (func (export "slice") (result i32)
    (local $stop i64)
    (local.set $stop (i64.add (global.get $next) (i64.const 1000)))
    (block $done
      (loop $more
        (br_if $done (i64.gt_u (global.get $next) (global.get $last)))
        (br_if $done (i64.ge_u (global.get $next) (local.get $stop)))
        (global.set $found
          (i64.add (global.get $found) (i64.extend_i32_u (call $prime (global.get $next)))))
        (global.set $next (i64.add (global.get $next) (i64.const 1)))
        (br $more)))
    (i64.le_u (global.get $next) (global.get $last)))

  (func (export "fraction") (result f64)
    (f64.div
      (f64.convert_i64_u (i64.sub (global.get $next) (global.get $first)))
      (f64.convert_i64_u (i64.add (i64.sub (global.get $last) (global.get $first)) (i64.const 1)))))

  ;; the count in decimal, written backwards so that it ends at 8192
  (func (export "result") (result i64)
    (local $left i64) (local $to i32)
    (local.set $left (global.get $found))
    (local.set $to (i32.const 8192))
    (loop $more
      (local.set $to (i32.sub (local.get $to) (i32.const 1)))
      (i32.store8 (local.get $to)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $left) (i64.const 10)))))
      (local.set $left (i64.div_u (local.get $left) (i64.const 10)))
      (br_if $more (i64.ne (local.get $left) (i64.const 0))))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $to)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (i32.const 8192) (local.get $to))))))
