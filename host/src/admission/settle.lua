-- What was taken is over, or goes on. ARGV: lease in ms; then for each key an id, its span and slot in ms, the slot that was
-- used, and how much more or less it came to. Span 0: what was open is not; span -1: it still is.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 5
  local id, span, slot = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local used_at, more = ARGV[at + 3], tonumber(ARGV[at + 4])
  if span == 0 then
    redis.call('ZREM', key, id)
  elseif span < 0 then
    redis.call('ZADD', key, now + lease, id)
    redis.call('PEXPIRE', key, lease)
  elseif more < 0 then
    local have = tonumber(redis.call('HGET', key, used_at) or '0')
    if have > 0 then redis.call('HINCRBY', key, used_at, -math.min(have, -more)) end
  elseif more > 0 then
    redis.call('HINCRBY', key, math.floor(now / slot), more)
    redis.call('PEXPIRE', key, span + 2 * slot)
  end
end
return 0
