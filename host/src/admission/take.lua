-- Meets all claims of a request, or none. ARGV: lease in ms, id; then for each key its limit, cost, span and slot in ms
-- (span 0: what is open at a time). Answers for each key: whether it fits, what is used, how long to wait, until when all
-- is back, and the slot. The clock is the server's, the same for all who ask.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease, id = tonumber(ARGV[1]), ARGV[2]
local answer, all_fit = {}, true
local function args(i)
  local at = 3 + (i - 1) * 4
  return tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
end

for i, key in ipairs(KEYS) do
  local limit, cost, span, slot = args(i)
  local used, wait, reset, slots = 0, 0, 0, {}
  if span == 0 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    used, wait, reset = redis.call('ZCARD', key), 1000, 1000
  else
    local all = redis.call('HGETALL', key)
    for j = 1, #all, 2 do
      local amount, left = tonumber(all[j + 1]), (tonumber(all[j]) + 1) * slot + span - now
      if left <= 0 then
        redis.call('HDEL', key, all[j])
      else
        used = used + amount
        reset = math.max(reset, left)
        slots[#slots + 1] = { left, amount }
      end
    end
  end
  local fits = used + cost <= limit
  if not fits and span > 0 then
    table.sort(slots, function(a, b) return a[1] < b[1] end)
    local rest = used
    for _, s in ipairs(slots) do
      rest, wait = rest - s[2], s[1]
      if rest + cost <= limit then break end
    end
  end
  all_fit = all_fit and fits
  for _, value in ipairs({ fits and 1 or 0, used, wait, reset, span > 0 and math.floor(now / slot) or 0 }) do
    answer[#answer + 1] = value
  end
end

if all_fit then
  for i, key in ipairs(KEYS) do
    local _, cost, span, slot = args(i)
    if span == 0 then
      redis.call('ZADD', key, now + lease, id)
      redis.call('PEXPIRE', key, lease)
    else
      redis.call('HINCRBY', key, math.floor(now / slot), cost)
      redis.call('PEXPIRE', key, span + 2 * slot)
    end
  end
end
return answer
